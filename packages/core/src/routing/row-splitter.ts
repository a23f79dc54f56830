import type { LayerPlacement } from './local-experts.js';

/**
 * Default for the least rows of one expert that are worth another read of its weights: a tile of
 * the widest CPU kernels.
 */
export const defaultSplitRowsMin = 16;

/** Most passes after the first; each places every replicated expert again, given the others. */
const sweepsMax = 3;

/**
 * Splits the rows of each expert over the ranks that hold it: a pure function of the counts and the
 * placement. The cost of r rows of an expert on a rank is max(r, `splitRowsMin`), because few rows
 * cost as much as reading the weights (the C_j of MegaScale-Infer, arXiv 2504.02263, section 6).
 *
 * Experts on one rank come first. Then each replicated expert, in ascending order, goes to the rank
 * with the lowest cost so far; if every part keeps `splitRowsMin` rows, it is split over its
 * cheapest ranks so that they reach the same cost. Further passes repeat this, given the other
 * experts, until no expert moves. No such step raises Σ C_j² or the greatest C_j.
 *
 * If all counts are below twice `splitRowsMin`, no expert is split, and the number of distinct
 * experts per rank is balanced (activated-expert-balanced scheduling of Janus, arXiv 2512.13525,
 * Algorithm 1).
 */
export class RowSplitter {
  /** Whether any expert is on more than one rank. If not, every split is the same. */
  readonly hasReplicas: boolean;
  /** [expertCount + 1] where each expert's holders begin in `holders`. */
  readonly holdersStart: Int32Array;
  /** Ranks, ascending for each expert. */
  readonly holders: Int32Array;
  /** [holders] rows that each holder takes, for the counts last split. */
  readonly rows: Int32Array;
  /** [expert ranks] rows and cost of each rank, for the counts last split. */
  readonly rowsOfRank: Int32Array;
  readonly costOfRank: Int32Array;
  /** Experts with more than one holder, ascending. */
  readonly #replicated: Int32Array;
  /** Places in `holders`, cheapest first. */
  readonly #order: Int32Array;
  readonly #splitRowsMin: number;
  /** Whether an expert could be split in this sweep. */
  #couldSplit = false;

  constructor(
    placement: LayerPlacement,
    expertWorkerCount: number,
    splitRowsMin: number = defaultSplitRowsMin,
  ) {
    const holders = placement.map((ranks) => [...ranks].sort((a, b) => a - b));
    const replicated = [...holders.keys()].filter((id) => (holders[id]?.length ?? 0) > 1);
    this.hasReplicas = replicated.length > 0;
    this.holders = Int32Array.from(holders.flat());
    this.holdersStart = new Int32Array(holders.length + 1);
    for (const [id, ranks] of holders.entries()) {
      this.holdersStart[id + 1] = (this.holdersStart[id] ?? 0) + ranks.length;
    }
    this.rows = new Int32Array(this.holders.length);
    this.rowsOfRank = new Int32Array(expertWorkerCount);
    this.costOfRank = new Int32Array(expertWorkerCount);
    this.#replicated = Int32Array.from(replicated);
    this.#order = new Int32Array(Math.max(0, ...holders.map(({ length }) => length)));
    this.#splitRowsMin = Math.max(1, splitRowsMin);
  }

  /**
   * Fills `rows`, `rowsOfRank` and `costOfRank` for rowsOfExpert[expertCount]. Allocates nothing.
   */
  split(rowsOfExpert: Int32Array): void {
    this.rowsOfRank.fill(0);
    this.costOfRank.fill(0);
    this.rows.fill(0);
    for (let id = 0; id + 1 < this.holdersStart.length; id++) {
      const start = this.holdersStart[id] ?? 0;
      if ((this.holdersStart[id + 1] ?? 0) - start === 1) this.#put(start, rowsOfExpert[id] ?? 0);
    }
    for (let sweep = 0; sweep <= sweepsMax; sweep++) {
      if (!this.#sweep(rowsOfExpert, sweep > 0) || this.#isLevel()) return;
    }
  }

  /** Places every replicated expert. Returns whether any of them moved. */
  #sweep(rowsOfExpert: Int32Array, again: boolean): boolean {
    const replicated = this.#replicated;
    let moved = false;
    this.#couldSplit = false;
    for (let index = 0; index < replicated.length; index++) {
      const id = replicated[index] ?? 0;
      const count = rowsOfExpert[id] ?? 0;
      if (count === 0) continue;
      const start = this.holdersStart[id] ?? 0;
      const end = this.holdersStart[id + 1] ?? 0;
      if (again) for (let place = start; place < end; place++) this.#add(place, -1);
      if (count < 2 * this.#splitRowsMin) {
        if (this.#placeWhole(start, end, count)) moved = true;
      } else if (this.#splitRows(start, end, count)) moved = true;
    }
    return moved;
  }

  /**
   * Whether another pass would gain too little: the greatest cost is within 1/32 of the mean, which
   * the next micro-batch would undo, or, where no expert could be split, within the cost of one.
   */
  #isLevel(): boolean {
    const { costOfRank } = this;
    const ranks = costOfRank.length;
    let sum = 0;
    let most = 0;
    for (let rank = 0; rank < ranks; rank++) {
      const cost = costOfRank[rank] ?? 0;
      sum += cost;
      if (cost > most) most = cost;
    }
    const slack = this.#couldSplit ? sum / 32 : Math.max(sum / 32, this.#splitRowsMin * ranks - 1);
    return most * ranks <= sum + slack;
  }

  #placeWhole(start: number, end: number, count: number): boolean {
    const { rows } = this;
    let cheapest = start;
    for (let place = start + 1; place < end; place++) {
      if (this.#isCheaper(place, cheapest)) cheapest = place;
    }
    const moved = rows[cheapest] !== count;
    if (moved) {
      for (let place = start; place < end; place++) rows[place] = 0;
      rows[cheapest] = count;
    }
    this.#add(cheapest, 1);
    return moved;
  }

  #splitRows(start: number, end: number, count: number): boolean {
    const order = this.#order;
    this.#couldSplit = true;
    for (let place = start; place < end; place++) this.#insert(place, place - start);
    let parts = 1;
    let filled = this.#costAt(order[0] ?? 0) + count;
    for (; parts < end - start; parts++) {
      const cost = this.#costAt(order[parts] ?? 0);
      // The rows that the most expensive rank of one more part would get, below the common level.
      if ((filled + cost) / (parts + 1) - cost < this.#splitRowsMin) break;
      filled += cost;
    }
    const level = Math.floor(filled / parts);
    const over = filled - level * parts;
    let moved = false;
    for (let part = 0; part < end - start; part++) {
      const place = order[part] ?? 0;
      const rows = part < parts ? level - this.#costAt(place) + (part < over ? 1 : 0) : 0;
      if (this.rows[place] !== rows) moved = true;
      this.#put(place, rows);
    }
    return moved;
  }

  /** Insertion by cost, then rows, then rank: `place` goes among the first `count` of the order. */
  #insert(place: number, count: number): void {
    const order = this.#order;
    let at = count;
    while (at > 0 && this.#isCheaper(place, order[at - 1] ?? 0)) {
      order[at] = order[at - 1] ?? 0;
      at--;
    }
    order[at] = place;
  }

  #isCheaper(place: number, other: number): boolean {
    const { holders, costOfRank, rowsOfRank } = this;
    const rank = holders[place] ?? 0;
    const otherRank = holders[other] ?? 0;
    const dearer = (costOfRank[rank] ?? 0) - (costOfRank[otherRank] ?? 0);
    return dearer === 0 ? (rowsOfRank[rank] ?? 0) < (rowsOfRank[otherRank] ?? 0) : dearer < 0;
  }

  #costAt(place: number): number {
    return this.costOfRank[this.holders[place] ?? 0] ?? 0;
  }

  #put(place: number, rows: number): void {
    this.rows[place] = rows;
    this.#add(place, 1);
  }

  /** Adds the rows at the place to their rank, or takes them away. */
  #add(place: number, sign: number): void {
    const { rowsOfRank, costOfRank } = this;
    const rows = this.rows[place] ?? 0;
    if (rows === 0) return;
    const rank = this.holders[place] ?? 0;
    const cost = rows < this.#splitRowsMin ? this.#splitRowsMin : rows;
    rowsOfRank[rank] = (rowsOfRank[rank] ?? 0) + sign * rows;
    costOfRank[rank] = (costOfRank[rank] ?? 0) + sign * cost;
  }
}
