import type {
  AttentionPort,
  AttentionStage,
  Clock,
  DispatchTicket,
  MicroBatchIndex,
} from '@megascale/core';
import type { PipelineAction, Step } from '@megascale/scheduler';

/** Where step time went, in microseconds, summed over steps. What is left of `totalUs` is the driving itself. */
export interface StepClock {
  totalUs: number;
  computeUs: number;
  transportUs: number;
  samplingUs: number;
  /** attend calls: layers × micro-batches. */
  halfLayers: number;
}

export interface StepWorker {
  readonly stage: AttentionStage;
  readonly port: AttentionPort;
  readonly clock: Clock;
  readonly time: StepClock;
  /** The order of work, from the scheduler's `createPingPongPlan`. */
  readonly planFor: (microBatches: readonly MicroBatchIndex[]) => readonly PipelineAction[];
  /** Chooses from the logits [logitsRows, vocabSize] of micro-batch i; a view, valid during the call. */
  readonly onLogits: (step: Step, microBatch: MicroBatchIndex, logits: Float32Array) => void;
}

/**
 * Runs one step in the order of `pingPong`. Overlap needs no extra code: while this worker attends to one
 * micro-batch, the others are away at the experts. All calls are synchronous; none waits but `combine`.
 */
export class StepDriver {
  readonly #worker: StepWorker;
  /** By micro-batch. */
  readonly #away: (DispatchTicket | undefined)[] = [];
  #markUs = 0;

  constructor(worker: StepWorker) {
    this.#worker = worker;
  }

  run(step: Step): void {
    const { stage, port, clock, time, planFor } = this.#worker;
    this.#markUs = clock.nowUs();
    port.beginStep(step.microBatchIndices);
    for (const batch of step.microBatches) stage.embed(batch);
    time.computeUs += this.#lap();
    for (const action of planFor(step.microBatchIndices)) this.#perform(step, action);
  }

  #perform(step: Step, action: PipelineAction): void {
    const { stage, port, time, onLogits } = this.#worker;
    const { microBatch } = action;
    switch (action.type) {
      case 'attend':
        stage.attend(action.layer, microBatch);
        time.computeUs += this.#lap();
        time.halfLayers += 1;
        return;
      case 'dispatch': {
        const tokens = step.microBatches[microBatch]?.tokenIds.length ?? 0;
        this.#away[microBatch] = port.dispatch(action.layer, microBatch, tokens);
        time.transportUs += this.#lap();
        return;
      }
      case 'combine': {
        const ticket = this.#away[microBatch];
        if (ticket === undefined) throw new Error('The plan combines what was not dispatched.');
        port.combine(ticket);
        time.transportUs += this.#lap();
        stage.combine(action.layer, microBatch);
        time.computeUs += this.#lap();
        port.release(ticket);
        return;
      }
      case 'sample': {
        if (step.logits[microBatch]?.length === 0) return;
        const logits = stage.logits(microBatch);
        time.computeUs += this.#lap();
        onLogits(step, microBatch, logits);
        time.samplingUs += this.#lap();
        return;
      }
    }
  }

  /** Microseconds since the last call. The small work between two native calls falls to the later one's part. */
  #lap(): number {
    const now = this.#worker.clock.nowUs();
    const elapsed = now - this.#markUs;
    this.#markUs = now;
    return elapsed;
  }
}
