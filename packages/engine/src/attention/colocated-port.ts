import {
  bytesPerElement,
  layerIndex,
  microBatchIndex,
  RowList,
  TransportError,
  type AttentionPort,
  type AttentionSlot,
  type Backend,
  type DispatchTicket,
  type ExpertStage,
  type LayerIndex,
  type MicroBatchIndex,
  type ModelSizes,
  type RowSource,
} from '@megascale/core';
import { eventKind } from '../recorder/flight-recorder.js';
import type { StepClock } from '../recorder/step-clock.js';

export interface ColocatedOptions {
  readonly backend: Backend;
  /** Holds every expert of the model. */
  readonly expertStage: ExpertStage;
  readonly sizes: ModelSizes;
  readonly tokensPerSlotMax: number;
  readonly slotCount: number;
  /** Counts the time of the experts as computing, not as dispatching. */
  readonly clock: Pick<StepClock, 'nowUs' | 'note'>;
}

interface Ticket extends DispatchTicket {
  layer: LayerIndex;
  readonly microBatch: MicroBatchIndex;
  tokens: number;
}

/**
 * The port of a worker that holds both stages: `dispatch` runs the experts at once, over the same
 * slots and row lists a transport uses, and `combine` finds the expert outputs there. It is the
 * baseline of every comparison.
 */
export class ColocatedPort implements AttentionPort {
  readonly slots: readonly AttentionSlot[];
  readonly #options: ColocatedOptions;
  readonly #rows: RowList;
  readonly #sources: readonly RowSource[];
  readonly #one: RowSource[] = [];
  readonly #tickets: readonly Ticket[];
  readonly #busy: boolean[] = [];

  constructor(options: ColocatedOptions) {
    const { expertCount, topK } = options.sizes;
    this.slots = allocateSlots(options);
    this.#options = options;
    options.expertStage.bindSlots(this.slots);
    this.#rows = new RowList({
      expertCount,
      topK,
      rowsMax: options.tokensPerSlotMax * topK,
    });
    this.#tickets = this.slots.map((_, index) => ({
      layer: layerIndex(0),
      microBatch: microBatchIndex(index),
      tokens: 0,
    }));
    this.#sources = this.slots.map(({ expertIds }, slotIndex) => ({
      slotIndex,
      tokens: 0,
      expertIds: int32View(expertIds.bytes),
      residents: new Uint8Array(expertCount).fill(1),
    }));
  }

  beginStep(): void {
    // No other worker has to be notified.
  }

  adoptPlacement(): void {
    throw new TransportError('ERR_FRAME_INVALID', {
      message: 'A colocated worker holds every expert. Load the model disaggregated to move them.',
    });
  }

  dispatch(layer: LayerIndex, microBatch: MicroBatchIndex, tokens: number): DispatchTicket {
    const source = this.#sources[microBatch];
    const ticket = this.#tickets[microBatch];
    if (source === undefined || ticket === undefined || this.#busy[microBatch] === true) {
      throw new TransportError('ERR_SLOT_BUSY', {
        message: `Micro-batch ${String(microBatch)} has no free slot: release its ticket first.`,
        details: { microBatch },
      });
    }
    source.tokens = tokens;
    this.#one[0] = source;
    this.#rows.merge(layer, this.#one, 1);
    this.#runExperts(layer, microBatch);
    ticket.layer = layer;
    ticket.tokens = tokens;
    this.#busy[microBatch] = true;
    return ticket;
  }

  #runExperts(layer: LayerIndex, microBatch: MicroBatchIndex): void {
    if (this.#rows.rowCount === 0) return;
    const { clock, expertStage } = this.#options;
    const startUs = clock.nowUs();
    expertStage.run(layer, this.#rows);
    clock.note(eventKind.experts, startUs, layer, microBatch, this.#rows.rowCount);
  }

  combine(): void {
    // The expert outputs have been there since dispatch.
  }

  release(ticket: DispatchTicket): void {
    this.#busy[ticket.microBatch] = false;
  }

  park(): void {
    // No other worker waits for this one.
  }

  close(): void {
    this.#options.expertStage.close();
  }
}

function allocateSlots({ backend, sizes, ...options }: ColocatedOptions): AttentionSlot[] {
  const { hiddenSize, topK } = sizes;
  const { tokensPerSlotMax: tokens, slotCount } = options;
  const rowBytes = hiddenSize * bytesPerElement[backend.activationDType];
  return Array.from({ length: slotCount }, () => ({
    hidden: backend.allocate(tokens * rowBytes),
    expertIds: backend.allocate(tokens * topK * bytesPerElement.i32),
    weights: backend.allocate(tokens * topK * bytesPerElement.f32),
    answers: backend.allocate(tokens * topK * rowBytes),
  }));
}

function int32View(bytes: Uint8Array | undefined): Int32Array {
  if (bytes === undefined) throw new TypeError('Colocated slots must be readable by the host.');
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}
