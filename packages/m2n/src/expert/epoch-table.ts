import {
  liveEpochsMax,
  ofLayer,
  residentTable,
  type ExpertRank,
  type PlacementEpoch,
  type TransportError,
} from '@megascale/core';
import type { Frame } from '../protocol/frame.js';
import { frameInvalid } from '../peers/peer-errors.js';
import { checkPlacement, type PortShape } from '../protocol/port-shape.js';

interface LiveEpoch {
  readonly epoch: number;
  /**
   * [layers][expertCount] 1 for the experts of this rank; one for all layers where the placement
   * is.
   */
  readonly residents: readonly Uint8Array[];
}

/**
 * The placements whose frames an expert rank serves. Attention ranks change over one by one, each
 * at a step of its own, so frames of several epochs may be here at a time; of one attention rank,
 * epochs only grow.
 */
export class EpochTable {
  /** Ascending. */
  readonly #live: LiveEpoch[] = [];
  /** [attention ranks] the epoch of each one's last frame. */
  readonly #epochOf: Int32Array;

  readonly #rank: ExpertRank;
  readonly #shape: PortShape;

  constructor(rank: ExpertRank, shape: PortShape, first: PlacementEpoch) {
    this.#rank = rank;
    this.#shape = shape;
    this.#live.push(this.#entry(first));
    this.#epochOf = new Int32Array(shape.attentionWorkerCount).fill(first.epoch);
  }

  /** See `ExpertPort.learnPlacement`. */
  learn(next: PlacementEpoch): void {
    if (next.epoch <= this.#newest) throw epochNotNewer(next.epoch, this.#newest);
    checkPlacement(next, this.#shape);
    if (this.#live.length >= liveEpochsMax) {
      throw frameInvalid(
        `Placement epoch ${next.epoch} is one too many: epochs ${this.#names()} are served`,
        'Retire the oldest first, once no attention rank is in it.',
      );
    }
    this.#live.push(this.#entry(next));
  }

  /** See `ExpertPort.retirePlacements`. */
  retire(upTo: number): void {
    while (this.#live.length > 1 && (this.#live[0]?.epoch ?? Infinity) <= upTo) this.#live.shift();
  }

  /** [expertCount] of this layer; undefined for an epoch that is not served. */
  residentsOf(epoch: number, layer: number): Uint8Array | undefined {
    for (let index = this.#live.length - 1; index >= 0; index--) {
      const entry = this.#live[index];
      if (entry?.epoch === epoch) return ofLayer(entry.residents, layer);
    }
    return undefined;
  }

  /**
   * Whether the frame may come from this rank now. One without rows may be of a retired epoch: no
   * rank waits for its answer, so it may be read long after it was sent.
   */
  admits(attentionRank: number, { type, placementEpoch, rowCount, layer }: Frame): boolean {
    if (type === 'park') return true;
    if (placementEpoch < (this.#epochOf[attentionRank] ?? 0)) return false;
    this.#epochOf[attentionRank] = placementEpoch;
    if (rowCount === 0) return placementEpoch <= this.#newest;
    return this.residentsOf(placementEpoch, layer) !== undefined;
  }

  /** The error of a frame that is not admitted. */
  refusal(expert: string, attention: string, { placementEpoch }: Frame): TransportError {
    return frameInvalid(
      `${expert} found a frame of ${attention} in placement epoch ${placementEpoch}, but serves ${this.#names()}, and epochs of a rank only grow`,
      'Teach every expert port an epoch before an attention port adopts it, and retire it after all have left it.',
    );
  }

  get #newest(): number {
    return this.#live.at(-1)?.epoch ?? -1;
  }

  #names(): string {
    return this.#live.map(({ epoch }) => epoch).join(', ');
  }

  #entry({ epoch, placement }: PlacementEpoch): LiveEpoch {
    return { epoch, residents: placement.map((layer) => residentTable(layer, this.#rank)) };
  }
}

export function epochNotNewer(epoch: number, newest: number): TransportError {
  return frameInvalid(
    `Placement epoch ${epoch} does not come after ${newest}`,
    'Epochs only grow: give each placement a greater number than the one before.',
  );
}
