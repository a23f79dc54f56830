import type { Placement } from '@megascale/core';
import type { Imbalance, PlacementCost } from './placement-cost.js';
import { placementChanges } from './placement-changes.js';

export interface ImproveOptions {
  readonly cost: PlacementCost;
  readonly placement: Placement;
  /** Experts that one worker has memory for. */
  readonly slotsPerWorker: number;
  /** Copies of experts that may be loaded, all together: a byte budget over the bytes of one expert. */
  readonly copiesMax: number;
  /** Changes at most. Default 1000. */
  readonly changesMax?: number;
}

export interface ImprovedPlacement {
  readonly placement: Placement;
  /** Copies that a worker has to load which did not hold the expert before. */
  readonly copies: number;
  readonly before: Imbalance;
  readonly after: Imbalance;
}

/** A change has to bring so much of what there is, or it is left: otherwise noise would move experts for ever. */
const gainMin = 1e-3;

/** The experts that `rank` would have to load, over all ranks. */
export function copiesBetween(before: Placement, after: Placement): number {
  return after.reduce(
    (sum, ranks, id) => sum + ranks.filter((rank) => before[id]?.includes(rank) !== true).length,
    0,
  );
}

/**
 * Betters a placement change by change, each time by the change that gains most per copy to load, until none gains, or the copies are used
 * up. Yields between the changes that it weighs, so that a caller can do it in slices: the one with 60 layers and 256 experts takes a while.
 */
export function* improvePlacementInSlices(
  options: ImproveOptions,
): Generator<void, ImprovedPlacement, void> {
  const { cost, placement: start, slotsPerWorker, copiesMax, changesMax = 1000 } = options;
  let placement: Placement = start;
  let smooth = cost.smooth(placement);
  for (let change = 0; change < changesMax; change++) {
    let best: { placement: Placement; smooth: number; gain: number } | undefined;
    const used = copiesBetween(start, placement);
    for (const candidate of placementChanges(cost, placement, slotsPerWorker)) {
      const copies = copiesBetween(start, candidate);
      if (copies > copiesMax) continue;
      const after = cost.smooth(candidate);
      yield;
      if (after > smooth * (1 - gainMin)) continue;
      // What costs no bytes is as good as can be; it must still gain.
      const gain = (smooth - after) / Math.max(0.25, copies - used);
      if (best === undefined || gain > best.gain)
        best = { placement: candidate, smooth: after, gain };
    }
    if (best === undefined) break;
    placement = best.placement;
    smooth = best.smooth;
  }
  return {
    placement,
    copies: copiesBetween(start, placement),
    before: cost.of(start),
    after: cost.of(placement),
  };
}

/** As `improvePlacementInSlices`, in one go. */
export function improvePlacement(options: ImproveOptions): ImprovedPlacement {
  const slices = improvePlacementInSlices(options);
  for (;;) {
    const { done, value } = slices.next();
    if (done === true) return value;
  }
}
