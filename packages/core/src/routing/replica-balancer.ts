import type { LayerPlacement } from './local-experts.js';
import { defaultSplitRowsMin, RowSplitter } from './row-splitter.js';

/**
 * Chooses the replicas that take the rows of a micro-batch: a pure function of its expert ids and
 * the placement, so that every worker that evaluates it gets the same. `RowSplitter` decides how
 * many rows of an expert go to which rank; the first rows of a split expert go to its lowest rank.
 */
export class ReplicaBalancer {
  /** Whether any expert is on more than one rank. If not, every choice is the same. */
  readonly hasReplicas: boolean;
  readonly #splitter: RowSplitter;
  /** [expertCount] */
  readonly #rowsOfExpert: Int32Array;
  /** [expertCount] the holder that takes the next row, and how many more rows it takes. */
  readonly #place: Int32Array;
  readonly #left: Int32Array;

  constructor(
    placement: LayerPlacement,
    expertWorkerCount: number,
    splitRowsMin: number = defaultSplitRowsMin,
  ) {
    this.#splitter = new RowSplitter(placement, expertWorkerCount, splitRowsMin);
    this.hasReplicas = this.#splitter.hasReplicas;
    this.#rowsOfExpert = new Int32Array(placement.length);
    this.#place = this.#splitter.holdersStart.slice(0, placement.length);
    this.#left = new Int32Array(placement.length);
  }

  /** [expert ranks] rows, and what they cost, of the ids last balanced where there are replicas. */
  get rowsOfRank(): Int32Array {
    return this.#splitter.rowsOfRank;
  }

  get costOfRank(): Int32Array {
    return this.#splitter.costOfRank;
  }

  /** Decides for the first `count` ids; skips ids of no expert. Allocates nothing. */
  balance(expertIds: Int32Array, count: number): void {
    if (!this.hasReplicas) return;
    const rowsOfExpert = this.#rowsOfExpert;
    rowsOfExpert.fill(0);
    for (let index = 0; index < count; index++) {
      const id = expertIds[index] ?? -1;
      if (id >= 0 && id < rowsOfExpert.length) rowsOfExpert[id] = (rowsOfExpert[id] ?? 0) + 1;
    }
    const { holdersStart, rows } = this.#splitter;
    this.#splitter.split(rowsOfExpert);
    for (let id = 0; id < rowsOfExpert.length; id++) {
      const place = holdersStart[id] ?? 0;
      this.#place[id] = place;
      this.#left[id] = rows[place] ?? 0;
    }
  }

  /**
   * Returns the rank that takes the next row of an expert, or undefined for an id of no expert.
   * Call it once for each id of the last `balance`, in their order.
   */
  take(id: number): number | undefined {
    const { holders, holdersStart, rows } = this.#splitter;
    let place = this.#place[id];
    if (place === undefined) return undefined;
    if (!this.hasReplicas) return holders[place];
    let left = this.#left[id] ?? 0;
    const last = (holdersStart[id + 1] ?? 0) - 1;
    // More rows than were counted, of ids that changed since, stay with the last holder.
    while (left === 0 && place < last) left = rows[++place] ?? 0;
    this.#place[id] = place;
    this.#left[id] = Math.max(0, left - 1);
    return holders[place];
  }
}
