import type { MicroBatchIndex } from '@megascale/core';
import { copyPosition, type Position } from '../protocol/frame.js';
import { frameInvalid } from '../peers/peer-errors.js';

/** Where an attention rank stands: which frame comes next, and which after that. */
export class StepCursor {
  readonly #microBatches: Int32Array;
  #microBatchCount = 0;
  #index = 0;
  /** Of the frame to be sent. Its step is 0 before the first step. */
  readonly position: Position = { step: 0, layer: 0, microBatch: 0 };
  /** No frame of this step is left. */
  ended = true;

  readonly #layerCount: number;

  constructor(layerCount: number, slotCount: number) {
    this.#layerCount = layerCount;
    this.#microBatches = new Int32Array(slotCount);
  }

  /**
   * @throws TransportError 'ERR_FRAME_INVALID' when the micro-batches are not a step's: none, out
   * of range, not ascending.
   */
  begin(step: number, microBatches: readonly MicroBatchIndex[]): void {
    let previous = -1;
    for (const microBatch of microBatches) {
      const known = Number.isInteger(microBatch) && microBatch < this.#microBatches.length;
      if (!known || microBatch <= previous) {
        throw frameInvalid(
          `Micro-batches [${microBatches.join(', ')}] are no step of a port with ${this.#microBatches.length} slots`,
          'Name each at most once, ascending.',
        );
      }
      previous = microBatch;
    }
    if (microBatches.length === 0) {
      throw frameInvalid('A step without micro-batches was begun', 'Call park instead.');
    }
    this.#microBatchCount = microBatches.length;
    for (let index = 0; index < microBatches.length; index++) {
      this.#microBatches[index] = microBatches[index] ?? 0;
    }
    this.#index = 0;
    this.ended = false;
    this.position.step = step;
    this.position.layer = 0;
    this.position.microBatch = this.#microBatches[0] ?? 0;
  }

  /** The position after this one; past the last, the first that the next step may begin with. */
  peekNext(into: Position): void {
    copyPosition(this.position, into);
    if (this.#index + 1 < this.#microBatchCount) {
      into.microBatch = this.#microBatches[this.#index + 1] ?? 0;
    } else if (this.position.layer + 1 < this.#layerCount) {
      into.layer++;
      into.microBatch = this.#microBatches[0] ?? 0;
    } else {
      into.step++;
      into.layer = 0;
      into.microBatch = 0;
    }
  }

  advance(): void {
    const { step } = this.position;
    this.peekNext(this.position);
    this.#index = (this.#index + 1) % this.#microBatchCount;
    if (this.position.step === step) return;
    this.position.step = step;
    this.ended = true;
  }
}
