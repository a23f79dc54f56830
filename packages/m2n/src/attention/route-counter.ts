import {
  ofLayer,
  ReplicaBalancer,
  type LayerIndex,
  type MicroBatchIndex,
  type Placement,
  type PlacementEpoch,
  type TransportOptions,
} from '@megascale/core';
import { epochNotNewer } from '../expert/epoch-table.js';
import { frameInvalid } from '../peers/peer-errors.js';
import { checkPlacement, type PortShape } from '../protocol/port-shape.js';

type BalanceOptions = Pick<TransportOptions, 'placement' | 'placementEpoch' | 'splitRowsMin'>;

/** Decides which expert rank takes each row of a slot, writes it there, and counts. */
export class RouteCounter {
  /** Of the placement in force. */
  epoch: number;
  /** [layers], or one for all of them. */
  #balancers: readonly ReplicaBalancer[];
  /** Comes into force with the next step. */
  #adopted: { readonly epoch: number; readonly balancers: readonly ReplicaBalancer[] } | undefined;
  /** [expert ranks] */
  readonly #rowCounts: Int32Array;

  readonly #options: BalanceOptions;
  readonly #shape: PortShape;
  /** [slotCount] of [tokensPerSlotMax, topK] each */
  readonly #slots: {
    readonly expertIds: readonly Int32Array[];
    readonly expertRanks: readonly Int32Array[];
  };

  constructor(
    options: BalanceOptions,
    shape: PortShape,

    slots: {
      readonly expertIds: readonly Int32Array[];
      readonly expertRanks: readonly Int32Array[];
    },
  ) {
    this.#options = options;
    this.#shape = shape;
    this.#slots = slots;
    this.epoch = options.placementEpoch ?? 0;
    this.#balancers = this.#balancersOf(options.placement);
    this.#rowCounts = new Int32Array(shape.expertWorkerCount);
  }

  /** See `AttentionPort.adoptPlacement`. */
  adopt(next: PlacementEpoch): void {
    const { epoch } = this.#adopted ?? this;
    if (next.epoch <= epoch) throw epochNotNewer(next.epoch, epoch);
    checkPlacement(next, this.#shape);
    this.#adopted = { epoch: next.epoch, balancers: this.#balancersOf(next.placement) };
  }

  beginStep(): void {
    if (this.#adopted === undefined) return;
    this.epoch = this.#adopted.epoch;
    this.#balancers = this.#adopted.balancers;
    this.#adopted = undefined;
  }

  /**
   * [expert ranks] valid until the next call.
   *
   * @throws TransportError 'ERR_FRAME_INVALID' for an id outside -1 … expertCount - 1.
   */
  count(layer: LayerIndex, microBatch: MicroBatchIndex, tokens: number): Int32Array {
    const rowCounts = this.#rowCounts;
    const balancer = ofLayer(this.#balancers, layer);
    const ids = this.#slots.expertIds[microBatch];
    const ranks = this.#slots.expertRanks[microBatch];
    if (ids === undefined || ranks === undefined || balancer === undefined) return rowCounts;
    const end = tokens * this.#shape.topK;
    balancer.balance(ids, end);
    rowCounts.fill(0);
    for (let index = 0; index < end; index++) {
      const id = ids[index] ?? -1;
      ranks[index] = -1;
      if (id === -1) continue;
      const rank = balancer.take(id);
      if (rank === undefined) throw this.#unknownExpert(id, microBatch, index);
      ranks[index] = rank;
      rowCounts[rank] = (rowCounts[rank] ?? 0) + 1;
    }
    return rowCounts;
  }

  #balancersOf(placement: Placement): readonly ReplicaBalancer[] {
    const { expertWorkerCount } = this.#shape;
    const { splitRowsMin } = this.#options;
    return placement.map((layer) => new ReplicaBalancer(layer, expertWorkerCount, splitRowsMin));
  }

  #unknownExpert(id: number, microBatch: number, index: number): Error {
    const { topK, expertCount } = this.#shape;
    return frameInvalid(
      `Token ${Math.floor(index / topK)} of micro-batch ${microBatch} is routed to expert ${id}`,
      `Ids are -1 (none) or 0 to ${expertCount - 1}: the router wrote its slot wrongly.`,
    );
  }
}
