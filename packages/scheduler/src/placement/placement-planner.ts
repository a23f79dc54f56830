import { layerPlacement, type Placement } from '@megascale/core';
import { DecayingLoads } from './decaying-loads.js';
import type { LoadTraceHeader, LoadWindow } from './expert-loads.js';
import {
  copiesBetween,
  improvePlacementInSlices,
  type ImprovedPlacement,
} from './improve-placement.js';
import { PlacementCost, type Imbalance } from './placement-cost.js';

export interface PlacementPlannerOptions extends LoadTraceHeader {
  /** N */
  readonly expertWorkers: number;
  /** Experts that one worker has memory for in each layer. */
  readonly slotsPerWorker: number;
  /** As in the transport's options. */
  readonly splitRowsMin: number;
  /** Of one expert in one layer. */
  readonly expertBytes: number;
  /** Bytes of weights that one plan may load. */
  readonly moveBytesMax: number;
  /**
   * A layer changes only when that is predicted to take so much of its busiest worker's time away:
   * 0.05 is a twentieth.
   */
  readonly margin: number;
  /** Of the memory of traffic. */
  readonly halfLifeUs: number;
  /** Rows per expert and layer, on average, before the traffic is believed. Default 20. */
  readonly rowsMin?: number;
}

export interface PlacementProposal extends ImprovedPlacement {
  readonly bytes: number;
}

/**
 * Decides from recent traffic when experts should be held elsewhere, and where. It only proposes;
 * the engine asks now and then. Under steady traffic it falls silent: each layer that
 * changes gains at least the margin.
 */
export class PlacementPlanner {
  readonly #options: PlacementPlannerOptions;
  readonly #loads: DecayingLoads;

  constructor(options: PlacementPlannerOptions) {
    this.#options = options;
    this.#loads = new DecayingLoads(options, options.halfLifeUs);
  }

  /** The rows of a stretch of time, over all attention workers. */
  observe(window: Omit<LoadWindow, 'startUs'>): void {
    this.#loads.add(window);
  }

  /** What recent traffic makes of a placement; undefined before there is enough of it. */
  imbalance(placement: Placement): Imbalance | undefined {
    return this.#cost()?.of(placement);
  }

  /** As `proposeInSlices`, in one go. */
  propose(placement: Placement): PlacementProposal | undefined {
    const slices = this.proposeInSlices(placement);
    for (;;) {
      const { done, value } = slices.next();
      if (done === true) return value;
    }
  }

  /**
   * A better placement within the byte budget; undefined where no layer has one by the margin. Of
   * the way to the best placement, each proposal takes the steps that gain most per byte. Yields so
   * that a caller can do other things in between.
   */
  *proposeInSlices(placement: Placement): Generator<void, PlacementProposal | undefined, void> {
    const cost = this.#cost();
    if (cost === undefined) return undefined;
    const { slotsPerWorker, expertBytes, moveBytesMax, margin } = this.#options;
    const copiesMax = Math.floor(moveBytesMax / expertBytes);
    const improved = yield* improvePlacementInSlices({
      cost,
      placement,
      slotsPerWorker,
      copiesMax,
    });
    const worthIt = cost.layers.map((_, layer) => {
      const before = layerPlacement(placement, layer);
      const after = layerPlacement(improved.placement, layer);
      const gain = 1 - cost.worst(after, layer) / cost.worst(before, layer);
      return gain > 0 && gain >= margin ? after : before;
    });
    const copies = copiesBetween(placement, worthIt);
    const after = cost.of(worthIt);
    if (after.worst === improved.before.worst) return undefined;
    const { before } = improved;
    return { placement: worthIt, copies, before, after, bytes: copies * expertBytes };
  }

  #cost(): PlacementCost | undefined {
    const { rowsMin = 20, expertCount, layerCount, expertWorkers, splitRowsMin } = this.#options;
    if (this.#loads.total < rowsMin * expertCount * layerCount) return undefined;
    return new PlacementCost(this.#loads, expertWorkers, splitRowsMin);
  }
}
