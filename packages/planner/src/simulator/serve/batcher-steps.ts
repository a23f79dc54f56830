import type { Batcher, EmittedToken, Step } from '@megascale/scheduler';
import type { SimulatedStep, StepSource } from '../step/pipeline-parts.js';

/** A step of the batcher, with what its micro-batches cost. */
export interface BatcherStep extends SimulatedStep {
  readonly step: Step;
}

/** What comes of steps. */
export interface StepListener {
  onToken(token: EmittedToken, nowUs: number): void;
  onStep(step: Step, nowUs: number): void;
}

/**
 * The scheduler of one simulated attention worker: the shipping batcher with its policy, asked at
 * the simulated time. Every token it samples is 0; the simulator reads none.
 */
export class BatcherSteps implements StepSource<BatcherStep> {
  #endedUs = 0;

  readonly #listener: StepListener;
  readonly #sampled: Uint8Array;

  constructor(
    readonly batcher: Batcher,
    listener: StepListener,
    sampled: Uint8Array,
  ) {
    this.#listener = listener;
    this.#sampled = sampled;
  }

  /** It has been idle until now. */
  wake(nowUs: number): void {
    this.#endedUs = nowUs;
  }

  next(nowUs: number): BatcherStep | undefined {
    const step = this.batcher.planStep(nowUs / 1000);
    return step === undefined ? undefined : withCosts(step);
  }

  startMicroBatch(_step: BatcherStep, microBatch: number): void {
    this.batcher.startMicroBatch(microBatch);
  }

  endMicroBatch(_step: BatcherStep, _microBatch: number, nowUs: number): void {
    const { emitted } = this.batcher.completeMicroBatch(this.#sampled);
    for (const token of emitted) this.#listener.onToken(token, nowUs);
  }

  end({ step }: BatcherStep, nowUs: number): void {
    this.batcher.noteStepTime(step, nowUs - this.#endedUs);
    this.#endedUs = nowUs;
    this.#listener.onStep(step, nowUs);
  }
}

function withCosts(step: Step): BatcherStep {
  const { microBatches, microBatchIndices, logits } = step;
  return {
    step,
    microBatchIndices,
    tokens: microBatches.map(({ tokenIds }) => tokenIds.length),
    keysSeen: microBatches.map(({ positions }) => {
      let keys = 0;
      for (let row = 0; row < positions.length; row += 1) keys += (positions[row] ?? 0) + 1;
      return keys;
    }),
    keysRead: microBatches.map(({ positions, offsets }) => {
      let keys = 0;
      for (let place = 1; place < offsets.length; place += 1)
        keys += (positions[(offsets[place] ?? 0) - 1] ?? -1) + 1;
      return keys;
    }),
    outputRows: logits.map((rows) => rows.length),
  };
}
