import { layerPlacement, type LayerPlacement, type Placement } from '@megascale/core';
import type { Imbalance, PlacementCost } from './placement-cost.js';
import { placementChanges } from './placement-changes.js';

export interface ImproveOptions {
  readonly cost: PlacementCost;
  readonly placement: Placement;
  /** Experts that one worker has memory for in each layer. */
  readonly slotsPerWorker: number;
  /**
   * Copies of experts, each of one layer, that may be loaded, all together: a byte budget over the
   * bytes of one expert in one layer.
   */
  readonly copiesMax: number;
  /** Changes at most. Default 1000 for each layer. */
  readonly changesMax?: number;
}

export interface ImprovedPlacement {
  /** One for each layer; the given one where nothing gains. */
  readonly placement: Placement;
  /** Copies, each of one layer, that a worker has to load which did not hold the expert before. */
  readonly copies: number;
  readonly before: Imbalance;
  readonly after: Imbalance;
}

/**
 * A change has to bring so much of what there is, or it is left: otherwise noise would move experts
 * for ever.
 */
const gainMin = 1e-3;

/** Copies of single experts, each of one layer, that ranks would have to load. */
export function copiesBetween(before: Placement, after: Placement): number {
  const layerCount = Math.max(before.length, after.length);
  let copies = 0;
  for (let layer = 0; layer < layerCount; layer++) {
    copies += copiesOfLayer(layerPlacement(before, layer), layerPlacement(after, layer));
  }
  return copies;
}

function copiesOfLayer(before: LayerPlacement, after: LayerPlacement): number {
  return after.reduce(
    (sum, ranks, id) => sum + ranks.filter((rank) => before[id]?.includes(rank) !== true).length,
    0,
  );
}

/** A layer on its way, and the change that is its best one. */
interface LayerPath {
  readonly layer: number;
  readonly start: LayerPlacement;
  placement: LayerPlacement;
  smooth: number;
  /** To load so far. */
  copies: number;
  best: LayerChange | undefined;
}

interface LayerChange {
  readonly placement: LayerPlacement;
  readonly smooth: number;
  readonly copies: number;
  /** Per copy to load. */
  readonly gain: number;
}

/**
 * Betters a placement change by change, each time by the change that gains most per copy to load in
 * any layer, until none gains, or the copies are used up. Layers follow one another, so what one
 * gains another does not lose. Yields between the changes that it weighs, so that a caller can do
 * it in slices: the one with 60 layers and 256 experts takes a while.
 */
export function* improvePlacementInSlices(
  options: ImproveOptions,
): Generator<void, ImprovedPlacement, void> {
  const { cost, placement: start, copiesMax, changesMax = 1000 * cost.layers.length } = options;
  const paths = [...cost.layers.keys()].map((layer): LayerPath => {
    const own = layerPlacement(start, layer);
    const path = { layer, start: own, placement: own, copies: 0, best: undefined };
    return { ...path, smooth: cost.smooth(own, layer) };
  });
  let copiesLeft = copiesMax;
  for (const path of paths) path.best = yield* bestChange(path, copiesLeft, options);
  for (let change = 0; change < changesMax; change++) {
    const path = paths.reduce((most, each) => (gainOf(each) > gainOf(most) ? each : most));
    const { best } = path;
    if (best === undefined) break;
    copiesLeft -= best.copies - path.copies;
    Object.assign(path, { placement: best.placement, smooth: best.smooth, copies: best.copies });
    for (const each of paths) {
      const loadsTooMuch = (each.best?.copies ?? 0) - each.copies > copiesLeft;
      if (each === path || loadsTooMuch) {
        each.best = yield* bestChange(each, copiesLeft, options);
      }
    }
  }
  const isSame = paths.every((path) => path.placement === path.start);
  const placement = isSame ? start : paths.map((path) => path.placement);
  return {
    placement,
    copies: copiesBetween(start, placement),
    before: cost.of(start),
    after: cost.of(placement),
  };
}

function gainOf({ best }: LayerPath): number {
  return best?.gain ?? 0;
}

/** Of one layer, among those that load no more than `copiesLeft` besides. */
function* bestChange(
  path: LayerPath,
  copiesLeft: number,
  { cost, slotsPerWorker }: ImproveOptions,
): Generator<void, LayerChange | undefined, void> {
  const { layer, placement } = path;
  let best: LayerChange | undefined;
  for (const candidate of placementChanges(cost, layer, placement, slotsPerWorker)) {
    const change = weighed(candidate, path, copiesLeft, cost);
    yield;
    if ((change?.gain ?? 0) > (best?.gain ?? 0)) best = change;
  }
  return best;
}

/** Undefined where it gains nothing, or loads too much. */
function weighed(
  candidate: LayerPlacement,
  { layer, start, smooth: before, copies: used }: LayerPath,
  copiesLeft: number,
  cost: PlacementCost,
): LayerChange | undefined {
  const copies = copiesOfLayer(start, candidate);
  if (copies - used > copiesLeft) return undefined;
  const smooth = cost.smooth(candidate, layer);
  if (smooth > before * (1 - gainMin)) return undefined;
  // What costs no bytes is as good as can be; it must still gain.
  const gain = (before - smooth) / Math.max(0.25, copies - used);
  return { placement: candidate, smooth, copies, gain };
}

/** As `improvePlacementInSlices`, in one go. */
export function improvePlacement(options: ImproveOptions): ImprovedPlacement {
  const slices = improvePlacementInSlices(options);
  for (;;) {
    const { done, value } = slices.next();
    if (done === true) return value;
  }
}
