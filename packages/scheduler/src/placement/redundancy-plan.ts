import { ConfigError, expertRank, type LayerPlacement } from '@megascale/core';

export interface RedundancyOptions {
  /** [experts] what the rows of each cost in one layer: max(a_i, K) of the paper. */
  readonly costs: ArrayLike<number>;
  /** N */
  readonly expertWorkers: number;
  /** Experts that one worker has memory for, at least ⌈experts / N⌉. */
  readonly slotsPerWorker: number;
}

export interface RedundancyPlan {
  readonly placement: LayerPlacement;
  /**
   * x_{i,j}: fractions[expert][i] of its rows are meant for placement[expert][i]; 0 for a copy that
   * is only held in reserve.
   */
  readonly fractions: readonly (readonly number[])[];
  /** [expert ranks] C_j by these fractions. */
  readonly costOfRank: readonly number[];
}

/** A part of an expert smaller than this share of a worker's is not worth its copy. */
const partMin = 1 / 64;

/**
 * Decides which experts of a layer are held more than once, by popularity (MegaScale-Infer, arXiv
 * 2504.02263, section 6): minimize max_j C_j, where C_j = Σ_i x_ij max(a_i, K). Greedily: experts
 * by falling cost go to the worker with most room below the mean, and what does not fit there goes
 * on to the next one as a copy, as long as there are spare slots; every expert keeps one. Slots
 * that are left then hold further copies of the experts that cost most per copy, in reserve for
 * micro-batches that are unlike the mean.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' when the slots do not hold all experts.
 */
export function planRedundancy(options: RedundancyOptions): RedundancyPlan {
  const { costs, expertWorkers, slotsPerWorker } = options;
  const shelf = new Shelf(costs, expertWorkers, slotsPerWorker);
  const order = Array.from({ length: costs.length }, (_, id) => id);
  order.sort((a, b) => (costs[b] ?? 0) - (costs[a] ?? 0) || a - b);
  for (const id of order) shelf.put(id);
  shelf.fillReserve(order);
  return shelf.plan();
}

class Shelf {
  readonly #costs: ArrayLike<number>;
  readonly #target: number;
  readonly #loads: number[];
  readonly #free: number[];
  readonly #parts: { readonly rank: number; readonly cost: number }[][];
  /** Slots beyond one for each expert. */
  #spare: number;

  constructor(costs: ArrayLike<number>, expertWorkers: number, slotsPerWorker: number) {
    this.#costs = costs;
    const total = Array.from(costs).reduce((sum, cost) => sum + cost, 0);
    this.#target = total / expertWorkers;
    this.#loads = Array<number>(expertWorkers).fill(0);
    this.#free = Array<number>(expertWorkers).fill(slotsPerWorker);
    this.#parts = Array.from(costs, () => []);
    this.#spare = expertWorkers * slotsPerWorker - costs.length;
    if (this.#spare < 0) {
      throw new ConfigError('ERR_CONFIG_FIELD', {
        message: `${expertWorkers} expert workers with room for ${slotsPerWorker} experts each do not hold ${costs.length} experts. Give each at least ${Math.ceil(costs.length / expertWorkers)} slots.`,
        details: { path: 'slotsPerWorker', slotsPerWorker, expertWorkers, experts: costs.length },
      });
    }
  }

  put(id: number): void {
    let left = this.#costs[id] ?? 0;
    for (;;) {
      const rank = this.#roomiest(id);
      if (rank === undefined) throw new Error(`There is no slot for expert ${id}.`);
      const room = this.#target - (this.#loads[rank] ?? 0);
      const splits = left > room && room >= this.#target * partMin && this.#spare > 0;
      const isLast = this.#roomiest(id, rank) === undefined;
      const cost = splits && !isLast ? room : left;
      this.#add(id, rank, cost);
      left -= cost;
      if (left <= 0) return;
      this.#spare -= 1;
    }
  }

  /** The order is by falling cost. */
  fillReserve(order: readonly number[]): void {
    while (this.#spare > 0) {
      let best: number | undefined;
      for (const id of order) {
        if (this.#perCopy(id) <= (best === undefined ? 0 : this.#perCopy(best))) continue;
        if (this.#roomiest(id) !== undefined) best = id;
      }
      const rank = best === undefined ? undefined : this.#roomiest(best);
      if (best === undefined || rank === undefined) return;
      this.#add(best, rank, 0);
      this.#spare -= 1;
    }
  }

  plan(): RedundancyPlan {
    const parts = this.#parts.map((list) => list.toSorted((a, b) => a.rank - b.rank));
    return {
      placement: parts.map((list) => list.map(({ rank }) => expertRank(rank))),
      fractions: parts.map((list, id) => {
        const cost = this.#costs[id] ?? 0;
        return list.map((part) => (cost === 0 ? 1 / list.length : part.cost / cost));
      }),
      costOfRank: this.#loads,
    };
  }

  #perCopy(id: number): number {
    return (this.#costs[id] ?? 0) / (this.#parts[id]?.length ?? 1);
  }

  #add(id: number, rank: number, cost: number): void {
    this.#parts[id]?.push({ rank, cost });
    this.#loads[rank] = (this.#loads[rank] ?? 0) + cost;
    this.#free[rank] = (this.#free[rank] ?? 0) - 1;
  }

  /** The least loaded rank that has a slot and does not hold the expert; of equals the lowest. */
  #roomiest(id: number, except?: number): number | undefined {
    let best: number | undefined;
    for (const [rank, load] of this.#loads.entries()) {
      if ((this.#free[rank] ?? 0) === 0 || rank === except) continue;
      if (this.#parts[id]?.some((part) => part.rank === rank) === true) continue;
      if (best === undefined || load < (this.#loads[best] ?? 0)) best = rank;
    }
    return best;
  }
}
