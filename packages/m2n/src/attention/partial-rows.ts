import type { PortShape } from '../protocol/port-shape.js';
import type { AttentionSegmentLayout, Span } from '../protocol/segment-layout.js';

/**
 * The attention side: lets the backend's combine add the partial sums and nothing else. The first
 * row of each (token, expert rank) gets weight 1, the others no expert.
 */
export class PartialRows {
  /** [expert ranks] the last token that met this rank. */
  readonly #lastToken: Int32Array;

  readonly #slots: readonly {
    readonly expertIds: Int32Array;
    readonly expertRanks: Int32Array;
    readonly weights: Float32Array;
  }[];
  readonly #shape: PortShape;

  constructor(
    slots: readonly {
      readonly expertIds: Int32Array;
      readonly expertRanks: Int32Array;
      readonly weights: Float32Array;
    }[],
    shape: PortShape,
  ) {
    this.#slots = slots;
    this.#shape = shape;
    this.#lastToken = new Int32Array(shape.expertWorkerCount);
  }

  static of(
    buffer: ArrayBufferLike,
    layout: AttentionSegmentLayout,
    shape: PortShape,
  ): PartialRows {
    const integers = ({ byteOffset, byteLength }: Span) =>
      new Int32Array(buffer, byteOffset, byteLength / 4);
    const slots = layout.slots.map(({ expertIds, expertRanks, weights }) => ({
      expertIds: integers(expertIds),
      expertRanks: integers(expertRanks),
      weights: floats(buffer, weights),
    }));
    return new PartialRows(slots, shape);
  }

  keepSums(microBatch: number, tokens: number): void {
    const slot = this.#slots[microBatch];
    if (slot === undefined) return;
    const { expertIds, expertRanks, weights } = slot;
    const lastToken = this.#lastToken;
    const { topK } = this.#shape;
    lastToken.fill(-1);
    for (let row = 0, token = 0; token < tokens; token++) {
      for (const end = row + topK; row < end; row++) {
        const rank = expertRanks[row] ?? -1;
        if (rank < 0) continue;
        if (lastToken[rank] === token) expertIds[row] = -1;
        else weights[row] = 1;
        lastToken[rank] = token;
      }
    }
  }
}

function floats(buffer: ArrayBufferLike, { byteOffset, byteLength }: Span): Float32Array {
  return new Float32Array(buffer, byteOffset, byteLength / 4);
}
