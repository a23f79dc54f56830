import type {
  AttentionPort,
  AttentionStage,
  Clock,
  DispatchTicket,
  LayerIndex,
  MicroBatchIndex,
} from '@megascale/core';
import {
  followSteps,
  type PipelineAction,
  type Step,
  type StepFollower,
  type StepOrders,
} from '@megascale/scheduler';

import { eventKind, type FlightRecorder } from '../recorder/flight-recorder.js';

/** Where step time went, in microseconds, summed over steps. What is left of `totalUs` is the driving itself. */
export interface StepClock {
  totalUs: number;
  /** Inside the stage's calls; colocated experts included. */
  computeUs: number;
  /** Of that, adding the experts' answers up. */
  combineUs: number;
  /** Of that, colocated experts. */
  expertUs: number;
  /** Inside `combine`: waiting for the experts' answers. */
  waitUs: number;
  /** Inside `dispatch`: counting rows and telling the experts. Colocated experts' time is in `computeUs`. */
  dispatchUs: number;
  samplingUs: number;
  /** attend calls: layers × micro-batches. */
  halfLayers: number;
}

export function emptyStepClock(): StepClock {
  return {
    ...{ totalUs: 0, computeUs: 0, combineUs: 0, expertUs: 0 },
    ...{ waitUs: 0, dispatchUs: 0, samplingUs: 0, halfLayers: 0 },
  };
}

/** What was spent between two readings of the sums. */
export function difference(after: StepClock, before: StepClock): StepClock {
  return {
    totalUs: after.totalUs - before.totalUs,
    computeUs: after.computeUs - before.computeUs,
    combineUs: after.combineUs - before.combineUs,
    expertUs: after.expertUs - before.expertUs,
    waitUs: after.waitUs - before.waitUs,
    dispatchUs: after.dispatchUs - before.dispatchUs,
    samplingUs: after.samplingUs - before.samplingUs,
    halfLayers: after.halfLayers - before.halfLayers,
  };
}

/** What the driver asks of the one who owns the batcher. */
export interface StepOwner {
  /** Before a micro-batch of the newest step is embedded: completes its token ids. */
  startMicroBatch(microBatch: MicroBatchIndex): void;
  /** The routes of this layer are in the micro-batch's slot. */
  onRoutes(step: Step, layer: LayerIndex, microBatch: MicroBatchIndex): void;
  /** Chooses from the logits [logitsRows, vocabSize] of micro-batch i; a view, valid during the call. Not called where it has none. */
  onLogits(step: Step, microBatch: MicroBatchIndex, logits: Float32Array): void;
  /** The micro-batch has sampled what it had to. */
  endMicroBatch(step: Step, microBatch: MicroBatchIndex): void;
  /** Every micro-batch has; the next step may be under way. */
  endStep(step: Step): void;
  /** The step to go on with, if there is one (see `followSteps`). */
  nextStep(): Step | undefined;
}

export interface StepWorker {
  readonly stage: AttentionStage;
  readonly port: AttentionPort;
  readonly clock: Clock;
  readonly time: StepClock;
  readonly recorder: FlightRecorder;
  /** The order of work, from the scheduler's `createStepOrders`. */
  readonly orderOf: StepOrders;
  /** Whether a step may start while the one before still samples. */
  readonly overlap: boolean;
  readonly owner: StepOwner;
}

/**
 * Runs steps in the order of `followSteps`. Overlap needs no extra code: while this worker attends to one
 * micro-batch, the others are away at the experts. All calls are synchronous; none waits but `combine`.
 */
export class StepDriver implements StepFollower<Step> {
  readonly orderOf: StepOrders;
  readonly overlap: boolean;
  readonly #worker: StepWorker;
  /** By micro-batch. */
  readonly #away: (DispatchTicket | undefined)[] = [];
  #markUs = 0;

  constructor(worker: StepWorker) {
    this.#worker = worker;
    this.orderOf = worker.orderOf;
    this.overlap = worker.overlap;
  }

  /** `first` and every step that the owner's `nextStep` gives. */
  run(first: Step): void {
    followSteps(first, this);
  }

  begin(step: Step): void {
    this.#worker.port.beginStep(step.microBatchIndices);
  }

  startMicroBatch(step: Step, microBatch: MicroBatchIndex): void {
    const { stage, time, owner } = this.#worker;
    const batch = step.microBatches[microBatch];
    if (batch === undefined) throw new Error(`The step has no micro-batch ${String(microBatch)}.`);
    owner.startMicroBatch(microBatch);
    this.#begin();
    stage.embed(batch);
    time.computeUs += this.#end(eventKind.embed, -1, microBatch, batch.tokenIds.length);
  }

  endMicroBatch(step: Step, microBatch: MicroBatchIndex): void {
    this.#worker.owner.endMicroBatch(step, microBatch);
  }

  end(step: Step): void {
    this.#worker.owner.endStep(step);
  }

  next(): Step | undefined {
    return this.#worker.owner.nextStep();
  }

  perform(step: Step, action: PipelineAction): void {
    const { stage, port, time, owner } = this.#worker;
    const { microBatch } = action;
    const tokens = step.microBatches[microBatch]?.tokenIds.length ?? 0;
    switch (action.type) {
      case 'attend':
        this.#begin();
        stage.attend(action.layer, microBatch);
        time.computeUs += this.#end(eventKind.attend, action.layer, microBatch, tokens);
        time.halfLayers += 1;
        owner.onRoutes(step, action.layer, microBatch);
        return;
      case 'dispatch':
        this.#begin();
        this.#away[microBatch] = port.dispatch(action.layer, microBatch, tokens);
        time.dispatchUs += this.#end(eventKind.dispatch, action.layer, microBatch, tokens);
        return;
      case 'combine': {
        const ticket = this.#away[microBatch];
        if (ticket === undefined) throw new Error('The plan combines what was not dispatched.');
        this.#begin();
        port.combine(ticket);
        time.waitUs += this.#end(eventKind.wait, action.layer, microBatch, tokens);
        this.#begin();
        stage.combine(action.layer, microBatch);
        const combineUs = this.#end(eventKind.combine, action.layer, microBatch, tokens);
        time.computeUs += combineUs;
        time.combineUs += combineUs;
        port.release(ticket);
        return;
      }
      case 'sample':
        this.#sample(step, microBatch);
    }
  }

  #sample(step: Step, microBatch: MicroBatchIndex): void {
    const { stage, time, owner } = this.#worker;
    if (step.logits[microBatch]?.length === 0) return;
    this.#begin();
    const rows = step.logits[microBatch]?.length ?? 0;
    const logits = stage.logits(microBatch);
    time.computeUs += this.#end(eventKind.logits, -1, microBatch, rows);
    this.#begin();
    owner.onLogits(step, microBatch, logits);
    time.samplingUs += this.#end(eventKind.sample, -1, microBatch, rows);
  }

  #begin(): void {
    this.#markUs = this.#worker.clock.nowUs();
  }

  /** Records what began at `#begin`; returns how long it took. */
  #end(kind: number, layer: number, microBatch: number, size: number): number {
    const nowUs = this.#worker.clock.nowUs();
    this.#worker.recorder.note(kind, this.#markUs, nowUs, layer, microBatch, size);
    return nowUs - this.#markUs;
  }
}
