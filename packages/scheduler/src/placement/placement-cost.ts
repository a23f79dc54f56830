import { layerPlacement, RowSplitter, type LayerPlacement, type Placement } from '@megascale/core';
import type { ExpertLoads } from './expert-loads.js';

/**
 * How unequal the expert workers' work is. Layers follow one another, so each layer costs what its
 * busiest worker takes.
 */
export interface Imbalance {
  /**
   * Σ over layers of the greatest cost of a rank, in rows: max(rows, `splitRowsMin`) of each expert
   * that has any.
   */
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
/**
 * The power of the mean that stands for a maximum: high enough to look at the busiest, low enough
 * to see the others.
 */
const power = 8;

/**
 * What placements cost under given loads, by the rule that the transport divides rows by. Made once
 * per set of loads.
 */
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

  /** [experts] cost of each in one layer. */
  costs(layer: number): Float64Array {
    return Float64Array.from(this.layers[layer] ?? [], (rows) => this.costOf(rows));
  }

  of(placement: Placement): Imbalance {
    let worst = 0;
    let rowsWorst = 0;
    for (const layer of this.layers.keys()) {
      const { costOfRank, rowsOfRank } = this.split(layerPlacement(placement, layer), layer);
      worst += greatest(costOfRank);
      rowsWorst += greatest(rowsOfRank);
    }
    const ideal = this.ideals.reduce((sum, mean) => sum + mean, 0);
    return {
      worst: worst / this.#scale,
      ideal: ideal / this.#scale,
      cost: ideal === 0 ? 1 : Math.max(1, worst / ideal),
      rows: this.#rowsMean === 0 ? 1 : Math.max(1, rowsWorst / this.#scale / this.#rowsMean),
    };
  }

  /** The greatest cost of a rank in one layer. */
  worst(placement: LayerPlacement, layer: number): number {
    return greatest(this.split(placement, layer).costOfRank);
  }

  /**
   * Like `worst`, but it also falls when one of several equally busy ranks gets less: the ideal
   * times the mean of the eighth powers of cost over ideal, to the eighth root.
   */
  smooth(placement: LayerPlacement, layer: number): number {
    const ideal = this.ideals[layer] ?? 0;
    if (ideal === 0) return 0;
    let powers = 0;
    for (const cost of this.split(placement, layer).costOfRank) powers += (cost / ideal) ** power;
    return ideal * (powers / this.expertWorkers) ** (1 / power);
  }

  /** The rows of one layer, divided. */
  split(placement: LayerPlacement, layer: number): RowSplitter {
    const splitter = new RowSplitter(placement, this.expertWorkers, this.#splitRowsMin);
    splitter.split(this.layers[layer] ?? new Int32Array(this.expertCount));
    return splitter;
  }
}

function greatest(values: Int32Array): number {
  let most = 0;
  for (const value of values) if (value > most) most = value;
  return most;
}
