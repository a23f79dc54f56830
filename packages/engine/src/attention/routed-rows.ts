import type { LayerIndex, MicroBatchIndex } from '@megascale/core';
import type { Step } from '@megascale/scheduler';
import type { ExpertLoadCounter } from '../placement/expert-load-counter.js';
import type { WorkerAccounts } from '../recorder/request-account.js';
import type { StepClock } from '../recorder/step-clock.js';

export interface RoutedRowsParts {
  readonly accounts: WorkerAccounts;
  readonly clock: Pick<StepClock, 'stepStartUs'>;
  readonly layerCount: number;
  readonly topK: number;
  /**
   * [micro-batches][tokens × topK] expert ids of each slot; empty where the host cannot read them.
   */
  readonly slotExpertIds: readonly Int32Array[];
  /** Present where expert loads are recorded or balanced. */
  readonly expertLoads?: ExpertLoadCounter;
}

/**
 * Looks at where the router sent rows, once a layer is attended to: counts them for the balance of
 * experts, and adds those of one layer of each step to the accounts of their requests. Steps take
 * the layers in turn.
 */
export class RoutedRows {
  readonly #parts: RoutedRowsParts;
  #sampledLayer = 0;

  constructor(parts: RoutedRowsParts) {
    this.#parts = parts;
  }

  /** The expert ids of this layer are in the slot of the micro-batch. */
  note(step: Step, layer: LayerIndex, microBatch: MicroBatchIndex): void {
    const { clock, topK, slotExpertIds, expertLoads } = this.#parts;
    const expertIds = slotExpertIds[microBatch];
    const batch = step.microBatches[microBatch];
    if (expertIds === undefined || batch === undefined) return;
    expertLoads?.count(layer, expertIds, batch.tokenIds.length * topK, clock.stepStartUs);
    if (layer !== this.#sampledLayer) return;
    const { offsets } = batch;
    for (const [place, id] of (step.sequences[microBatch] ?? []).entries()) {
      const from = offsets[place] ?? 0;
      const to = offsets[place + 1] ?? 0;
      this.#parts.accounts.addRows(id, expertIds, from * topK, to * topK);
    }
  }

  /** A step has ended at `nowUs`: the next one looks at the next layer. */
  endStep(nowUs: number): void {
    this.#sampledLayer = (this.#sampledLayer + 1) % Math.max(1, this.#parts.layerCount);
    this.#parts.expertLoads?.report(nowUs);
  }

  /** No step may follow for long: reports the expert loads at once. */
  idle(nowUs: number): void {
    this.#parts.expertLoads?.report(nowUs, true);
  }
}
