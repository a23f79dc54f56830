import cliProgress, { type Options } from 'cli-progress';
import type { CliWorld } from '../world.js';
import { TerminalStream } from './terminal-stream.js';

export interface ProgressBar {
  /** Shows how much is done; `phase` replaces the words before the bar. */
  update(done: number, total: number, phase?: string): void;
  /** Removes the bar. */
  stop(): void;
}

type Parameters = { readonly total: number; readonly value: number; readonly startTime: number };

const width = 24;

/**
 * Shows a bar on stderr behind words for what goes on, with the seconds it has taken. Returns
 * undefined where stderr is no terminal: programs and log files have no use for it.
 */
export function progressBar(phase: string, { stderr }: CliWorld): ProgressBar | undefined {
  if (stderr.isTTY !== true) return undefined;
  const format = (_options: Options, parameters: Parameters, payload: { phase: string }): string =>
    barLine(payload.phase, parameters);
  const stream = new TerminalStream(stderr);
  const bar = new cliProgress.SingleBar({
    format: format as unknown as NonNullable<Options['format']>,
    stream,
    clearOnComplete: true,
    hideCursor: true,
    fps: 5,
  });
  // A total of zero: the work has begun, and nothing is known of its size.
  bar.start(0, 0, { phase });
  return {
    update(done, total, newPhase) {
      bar.setTotal(total);
      bar.update(done, newPhase === undefined ? {} : { phase: newPhase });
    },
    stop: () => {
      bar.stop();
    },
  };
}

function barLine(phase: string, { value, total, startTime }: Parameters): string {
  const seconds = `${((Date.now() - startTime) / 1000).toFixed(0)} s`;
  if (total === 0) return `${phase} … ${seconds}`;
  const share = Math.min(1, value / total);
  const full = Math.round(share * width);
  return `${phase} ${'█'.repeat(full)}${'░'.repeat(width - full)} ${(share * 100).toFixed(0)} %, ${seconds}`;
}
