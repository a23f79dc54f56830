import type { StageProfiler } from '@megascale/core';
import type { StepRecord } from '../spec/language-model.js';
import type { CoordinatorMessage } from '../protocol/messages.js';
import type { Inbox } from '../worker/thread-inbox.js';
import type { FlightRecorder } from './flight-recorder.js';
import type { StepSpan } from './step-clock.js';

export interface ProfiledStage {
  readonly stage: 'attention' | 'expert';
  /** Absent where the backend does not count. */
  readonly profiler: StageProfiler | undefined;
}

/**
 * Answers 'profile-requested' and 'recording-requested' on a data thread, and keeps the steps of an
 * attention worker while ops are recorded.
 */
export class WorkerProfiler {
  readonly #stages: readonly ProfiledStage[];
  readonly #recorder: FlightRecorder;
  readonly #inbox: Pick<Inbox, 'send'>;
  #stepsMax = 0;
  #steps: StepRecord[] = [];

  constructor(
    stages: readonly ProfiledStage[],
    recorder: FlightRecorder,
    inbox: Pick<Inbox, 'send'>,
  ) {
    this.#stages = stages;
    this.#recorder = recorder;
    this.#inbox = inbox;
  }

  receive(message: CoordinatorMessage): void {
    if (message.type === 'profile-requested') this.#sendProfile(message.recordsMax);
    if (message.type === 'recording-requested') {
      this.#inbox.send({ type: 'recording-taken', recording: this.#recorder.read() });
    }
  }

  /** Keeps a step. The attention loop calls it once per step, after it. */
  noteStep(
    { startUs, endUs, spent }: StepSpan,
    counts: Pick<StepRecord, 'outputTokens' | 'tokens'>,
  ): void {
    if (this.#steps.length >= this.#stepsMax) return;
    this.#steps.push({
      startUs,
      endUs,
      outputTokens: counts.outputTokens,
      tokens: counts.tokens,
      computeUs: spent.computeUs,
      waitUs: spent.waitUs,
      dispatchUs: spent.dispatchUs,
      samplingUs: spent.samplingUs,
    });
  }

  #sendProfile(recordsMax: number): void {
    const stages = this.#stages.flatMap(({ stage, profiler }) => {
      if (profiler === undefined) return [];
      const { records, lost } = profiler.records();
      profiler.record(recordsMax);
      const { ops, ...bytes } = profiler.totals();
      return [
        {
          stage,
          totals: { ops: [...ops], ...bytes },
          records: [...records],
          recordsLost: lost,
        },
      ];
    });
    const steps = this.#steps;
    this.#steps = [];
    this.#stepsMax = recordsMax;
    this.#inbox.send({ type: 'profile-taken', stages, steps });
  }
}
