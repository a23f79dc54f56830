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
  /** Inside the stage's calls. */
  computeUs: number;
  /** Inside `combine`: waiting for the experts' answers. */
  waitUs: number;
  /** Inside `dispatch`: counting rows and telling the experts. Colocated experts' time is in `computeUs`. */
  dispatchUs: number;
  samplingUs: number;
  /** attend calls: layers × micro-batches. */
  halfLayers: number;
}

export function emptyStepClock(): StepClock {
  return { totalUs: 0, computeUs: 0, waitUs: 0, dispatchUs: 0, samplingUs: 0, halfLayers: 0 };
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
    const { stage, port, time, planFor } = this.#worker;
    port.beginStep(step.microBatchIndices);
    this.#begin();
    for (const batch of step.microBatches) stage.embed(batch);
    time.computeUs += this.#elapsed();
    for (const action of planFor(step.microBatchIndices)) this.#perform(step, action);
  }

  #perform(step: Step, action: PipelineAction): void {
    const { stage, port, time } = this.#worker;
    const { microBatch } = action;
    switch (action.type) {
      case 'attend':
        this.#begin();
        stage.attend(action.layer, microBatch);
        time.computeUs += this.#elapsed();
        time.halfLayers += 1;
        return;
      case 'dispatch': {
        const tokens = step.microBatches[microBatch]?.tokenIds.length ?? 0;
        this.#begin();
        this.#away[microBatch] = port.dispatch(action.layer, microBatch, tokens);
        time.dispatchUs += this.#elapsed();
        return;
      }
      case 'combine': {
        const ticket = this.#away[microBatch];
        if (ticket === undefined) throw new Error('The plan combines what was not dispatched.');
        this.#begin();
        port.combine(ticket);
        time.waitUs += this.#elapsed();
        this.#begin();
        stage.combine(action.layer, microBatch);
        time.computeUs += this.#elapsed();
        port.release(ticket);
        return;
      }
      case 'sample':
        this.#sample(step, microBatch);
    }
  }

  #sample(step: Step, microBatch: MicroBatchIndex): void {
    const { stage, time, onLogits } = this.#worker;
    if (step.logits[microBatch]?.length === 0) return;
    this.#begin();
    const logits = stage.logits(microBatch);
    time.computeUs += this.#elapsed();
    this.#begin();
    onLogits(step, microBatch, logits);
    time.samplingUs += this.#elapsed();
  }

  #begin(): void {
    this.#markUs = this.#worker.clock.nowUs();
  }

  #elapsed(): number {
    return this.#worker.clock.nowUs() - this.#markUs;
  }
}
