import { ReplicaBalancer, type MicroBatchIndex, type TransportOptions } from '@megascale/core';
import { frameInvalid } from './peer-errors.js';
import type { PortShape } from './port-shape.js';

/** Decides which expert rank takes each row of a slot, writes it there, and counts. */
export class RouteCounter {
  private readonly balancer: ReplicaBalancer;
  /** [expert ranks] */
  private readonly rowCounts: Int32Array;

  constructor(
    placement: TransportOptions['placement'],
    private readonly shape: PortShape,
    /** [slotCount] of [tokensPerSlotMax, topK] each */
    private readonly slots: {
      readonly expertIds: readonly Int32Array[];
      readonly expertRanks: readonly Int32Array[];
    },
  ) {
    this.balancer = new ReplicaBalancer(placement, shape.expertWorkerCount);
    this.rowCounts = new Int32Array(shape.expertWorkerCount);
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
    const { rankOfExpert } = balancer;
    rowCounts.fill(0);
    for (let index = 0; index < end; index++) {
      const id = ids[index] ?? -1;
      ranks[index] = -1;
      if (id === -1) continue;
      const rank = rankOfExpert[id];
      if (rank === undefined) throw this.unknownExpert(id, microBatch, index);
      ranks[index] = rank;
      rowCounts[rank] = (rowCounts[rank] ?? 0) + 1;
    }
    return rowCounts;
  }

  private unknownExpert(id: number, microBatch: number, index: number): Error {
    const { topK, expertCount } = this.shape;
    return frameInvalid(
      `Token ${Math.floor(index / topK)} of micro-batch ${microBatch} is routed to expert ${id}`,
      `Ids are -1 (none) or 0 to ${expertCount - 1}: the router wrote its slot wrongly.`,
    );
  }
}
