import type { StageProfiler } from '@megascale/core';
import type { StepRecord } from '../spec/language-model.js';
import type { CoordinatorMessage } from '../protocol/messages.js';
import { emptyStepClock, type StepClock } from '../attention/step-driver.js';
import type { Inbox } from '../worker/thread-inbox.js';

export interface ProfiledStage {
  readonly stage: 'attention' | 'expert';
  /** Absent where the backend does not count. */
  readonly profiler: StageProfiler | undefined;
}

/** Answers 'profile-requested' on a data thread, and notes steps while ops are recorded. */
export class WorkerProfiler {
  readonly #stages: readonly ProfiledStage[];
  readonly #inbox: Inbox;
  #stepsMax = 0;
  #steps: StepRecord[] = [];
  /** The sums after the step before. */
  readonly #before = emptyStepClock();

  constructor(stages: readonly ProfiledStage[], inbox: Inbox) {
    this.#stages = stages;
    this.#inbox = inbox;
  }

  receive(message: CoordinatorMessage): void {
    if (message.type !== 'profile-requested') return;
    const { recordsMax } = message;
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

  /** Once per step, after it. `time` holds sums since the start. */
  noteStep(
    step: Pick<StepRecord, 'startUs' | 'endUs' | 'outputTokens' | 'tokens'>,
    time: StepClock,
  ) {
    const before = this.#before;
    if (this.#steps.length < this.#stepsMax) {
      this.#steps.push({
        ...step,
        computeUs: time.computeUs - before.computeUs,
        waitUs: time.waitUs - before.waitUs,
        dispatchUs: time.dispatchUs - before.dispatchUs,
        samplingUs: time.samplingUs - before.samplingUs,
      });
    }
    Object.assign(before, time);
  }
}
