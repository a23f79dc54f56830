import type { Clock, ExpertPort, ExpertStage } from '@megascale/core';
import type { ExpertTimer } from './expert-timer.js';
import { eventKind, type FlightRecorder } from '../recorder/flight-recorder.js';

/** What one expert worker serves with. */
export interface ExpertServer {
  readonly port: ExpertPort;
  readonly stage: ExpertStage;
  readonly recorder: FlightRecorder;
  readonly timer: ExpertTimer;
  readonly clock: Clock;
  /** Called between two inputs now and then: where there is always something to serve, no wait looks up. */
  readonly between?: () => void;
}

/** How often `between` is called at most. */
const betweenUs = 5_000;

/** The loop of one expert worker: receives, computes and answers until all attention ranks have closed. */
export function serveExperts({ port, stage, recorder, timer, clock, ...rest }: ExpertServer): void {
  let sinceUs = clock.nowUs();
  let calledUs = sinceUs;
  const note = (kind: number, layer: number, rows: number): void => {
    const nowUs = clock.nowUs();
    recorder.note(kind, sinceUs, nowUs, layer, -1, rows);
    sinceUs = nowUs;
  };
  for (let input = port.receive(); input !== undefined; input = port.receive()) {
    const { layer, rowCount } = input;
    note(eventKind.wait, layer, rowCount);
    const startUs = sinceUs;
    stage.run(layer, input);
    note(eventKind.experts, layer, rowCount);
    timer.note(rowCount, startUs, sinceUs);
    port.reply(input);
    note(eventKind.reply, layer, rowCount);
    if (sinceUs - calledUs < betweenUs) continue;
    calledUs = sinceUs;
    rest.between?.();
  }
}
