import {
  ReplicaBalancer,
  type MicroBatchIndex,
  type PlacementEpoch,
  type TransportOptions,
} from '@megascale/core';
import { epochNotNewer } from './epoch-table.js';
import { frameInvalid } from './peer-errors.js';
import { checkPlacement, type PortShape } from './port-shape.js';

type BalanceOptions = Pick<TransportOptions, 'placement' | 'placementEpoch' | 'splitRowsMin'>;

/** Decides which expert rank takes each row of a slot, writes it there, and counts. */
export class RouteCounter {
  /** Of the placement in force. */
  epoch: number;
  private balancer: ReplicaBalancer;
  /** Comes into force with the next step. */
  private adopted: { readonly epoch: number; readonly balancer: ReplicaBalancer } | undefined;
  /** [expert ranks] */
  private readonly rowCounts: Int32Array;

  constructor(
    private readonly options: BalanceOptions,
    private readonly shape: PortShape,
    /** [slotCount] of [tokensPerSlotMax, topK] each */
    private readonly slots: {
      readonly expertIds: readonly Int32Array[];
      readonly expertRanks: readonly Int32Array[];
    },
  ) {
    this.epoch = options.placementEpoch ?? 0;
    this.balancer = this.balancerOf(options.placement);
    this.rowCounts = new Int32Array(shape.expertWorkerCount);
  }

  /** See `AttentionPort.adoptPlacement`. */
  adopt(next: PlacementEpoch): void {
    const { epoch } = this.adopted ?? this;
    if (next.epoch <= epoch) throw epochNotNewer(next.epoch, epoch);
    checkPlacement(next, this.shape);
    this.adopted = { epoch: next.epoch, balancer: this.balancerOf(next.placement) };
  }

  beginStep(): void {
    if (this.adopted === undefined) return;
    this.epoch = this.adopted.epoch;
    this.balancer = this.adopted.balancer;
    this.adopted = undefined;
  }

  /**
   * [expert ranks] valid until the next call.
   *
   * @throws TransportError 'ERR_FRAME_INVALID' for an id outside -1 … expertCount - 1.
   */
  count(microBatch: MicroBatchIndex, tokens: number): Int32Array {
    const { balancer, rowCounts } = this;
    const ids = this.slots.expertIds[microBatch];
    const ranks = this.slots.expertRanks[microBatch];
    if (ids === undefined || ranks === undefined) return rowCounts;
    const end = tokens * this.shape.topK;
    balancer.balance(ids, end);
    rowCounts.fill(0);
    for (let index = 0; index < end; index++) {
      const id = ids[index] ?? -1;
      ranks[index] = -1;
      if (id === -1) continue;
      const rank = balancer.take(id);
      if (rank === undefined) throw this.unknownExpert(id, microBatch, index);
      ranks[index] = rank;
      rowCounts[rank] = (rowCounts[rank] ?? 0) + 1;
    }
    return rowCounts;
  }

  private balancerOf(placement: TransportOptions['placement']): ReplicaBalancer {
    const { expertWorkerCount } = this.shape;
    return new ReplicaBalancer(placement, expertWorkerCount, this.options.splitRowsMin);
  }

  private unknownExpert(id: number, microBatch: number, index: number): Error {
    const { topK, expertCount } = this.shape;
    return frameInvalid(
      `Token ${Math.floor(index / topK)} of micro-batch ${microBatch} is routed to expert ${id}`,
      `Ids are -1 (none) or 0 to ${expertCount - 1}: the router wrote its slot wrongly.`,
    );
  }
}
