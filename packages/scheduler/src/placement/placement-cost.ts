import { RowSplitter, type Placement } from '@megascale/core';
import type { ExpertLoads } from './expert-loads.js';

/** How unequal the expert workers' work is. Layers follow one another, so each layer costs what its busiest worker takes. */
export interface Imbalance {
  /** Σ over layers of the greatest cost of a rank, in rows: max(rows, `splitRowsMin`) of each expert that has any. */
  readonly worst: number;
  /** Σ over layers of what a rank would cost if experts could be divided at will. */
  readonly ideal: number;
  /** worst / ideal, at least 1 */
  readonly cost: number;
  /** The same of rows alone: max/mean expert load. */
  readonly rows: number;
}

/** Greatest number of a layer's rows after scaling: counts are whole numbers of 32 bits. */
const scaledRowsMax = 2 ** 26;
/** The power of the mean that stands for a maximum: high enough to look at the busiest, low enough to see the others. */
const power = 8;

/** What placements cost under given loads, by the rule that the transport divides rows by. Made once per set of loads. */
export class PlacementCost {
  readonly expertCount: number;
  readonly expertWorkers: number;
  /** [layers][experts] scaled rows. */
  readonly layers: readonly Int32Array[];
  /** [layers] mean cost of a rank, if experts could be divided at will. */
  readonly ideals: Float64Array;
  readonly #splitRowsMin: number;
  readonly #scale: number;
  readonly #rowsMean: number;

  /** `splitRowsMin` as in a transport's options, of one dispatch. */
  constructor(loads: ExpertLoads, expertWorkers: number, splitRowsMin: number) {
    const { expertCount, layerCount, rows, dispatches } = loads;
    this.expertCount = expertCount;
    this.expertWorkers = expertWorkers;
    const totals = Array.from({ length: layerCount }, (_, layer) => {
      let total = 0;
      for (let id = 0; id < expertCount; id++) total += rows[layer * expertCount + id] ?? 0;
      return total;
    });
    this.#scale = scaledRowsMax / Math.max(1, ...totals);
    this.layers = totals.map((_, layer) =>
      Int32Array.from({ length: expertCount }, (__, id) =>
        Math.round((rows[layer * expertCount + id] ?? 0) * this.#scale),
      ),
    );
    this.#splitRowsMin = Math.max(1, Math.round(splitRowsMin * dispatches * this.#scale));
    this.ideals = Float64Array.from(this.layers, (layer) => {
      let sum = 0;
      for (const count of layer) sum += this.costOf(count);
      return sum / expertWorkers;
    });
    this.#rowsMean = totals.reduce((sum, total) => sum + total, 0) / expertWorkers;
  }

  /** Of so many scaled rows of an expert. */
  costOf(rows: number): number {
    return rows === 0 ? 0 : Math.max(rows, this.#splitRowsMin);
  }

  /** [experts] cost of each, over all layers. */
  costs(): Float64Array {
    const costs = new Float64Array(this.expertCount);
    for (const layer of this.layers) {
      for (let id = 0; id < costs.length; id++) {
        costs[id] = (costs[id] ?? 0) + this.costOf(layer[id] ?? 0);
      }
    }
    return costs;
  }

  of(placement: Placement): Imbalance {
    let worst = 0;
    let rowsWorst = 0;
    this.eachLayer(placement, (splitter) => {
      worst += greatest(splitter.costOfRank);
      rowsWorst += greatest(splitter.rowsOfRank);
    });
    const ideal = this.ideals.reduce((sum, mean) => sum + mean, 0);
    return {
      worst: worst / this.#scale,
      ideal: ideal / this.#scale,
      cost: ideal === 0 ? 1 : Math.max(1, worst / ideal),
      rows: this.#rowsMean === 0 ? 1 : Math.max(1, rowsWorst / this.#scale / this.#rowsMean),
    };
  }

  /**
   * Like `worst`, but it also falls when one of several equally busy ranks gets less: Σ over layers of the ideal times the mean of the
   * eighth powers of cost over ideal, to the eighth root.
   */
  smooth(placement: Placement): number {
    let sum = 0;
    this.eachLayer(placement, (splitter, layer) => {
      const ideal = this.ideals[layer] ?? 0;
      if (ideal === 0) return;
      let powers = 0;
      for (const cost of splitter.costOfRank) powers += (cost / ideal) ** power;
      sum += ideal * (powers / this.expertWorkers) ** (1 / power);
    });
    return sum;
  }

  /** Calls with the rows of each layer divided; the splitter is reused. */
  eachLayer(placement: Placement, visit: (splitter: RowSplitter, layer: number) => void): void {
    const splitter = new RowSplitter(placement, this.expertWorkers, this.#splitRowsMin);
    for (const [layer, rows] of this.layers.entries()) {
      splitter.split(rows);
      visit(splitter, layer);
    }
  }
}

export function greatest(values: Int32Array): number {
  let most = 0;
  for (const value of values) if (value > most) most = value;
  return most;
}
