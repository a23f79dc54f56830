import { layerPlacement, type LayerPlacement, type Placement } from '@megascale/core';
import { improvePlacement } from './improve-placement.js';
import type { Imbalance, PlacementCost } from './placement-cost.js';
import { planRedundancy } from './redundancy-plan.js';

export interface PlannedPlacement {
  /** One for each layer. */
  readonly placement: Placement;
  readonly imbalance: Imbalance;
}

/**
 * A placement for these loads, from nothing: in each layer the paper's greedy plan, then bettered. Never worse than the same without copies.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' when the slots do not hold all experts.
 */
export function planPlacement(cost: PlacementCost, slotsPerWorker: number): PlannedPlacement {
  const placement = [...cost.layers.keys()].map((layer) => planLayer(cost, layer, slotsPerWorker));
  return { placement, imbalance: cost.of(placement) };
}

/** The same for one layer: the best of some that are planned differently. */
function planLayer(ofAll: PlacementCost, layer: number, slotsPerWorker: number): LayerPlacement {
  const cost = ofAll.ofLayer(layer);
  const { expertWorkers, expertCount } = cost;
  const costs = cost.costs(0);
  const single = Math.ceil(expertCount / expertWorkers);
  const plans = [slotsPerWorker, single].map((slots) => [
    planRedundancy({ costs, expertWorkers, slotsPerWorker: slots }).placement,
  ]);
  const candidates: PlannedPlacement[] = [];
  // The last is what comes out without copies: bettering step by step may lose sight of it where there is room for more.
  for (const [plan, slots] of [
    [plans[0], slotsPerWorker],
    [plans[1], slotsPerWorker],
    [plans[1], single],
  ] as const) {
    if (plan === undefined) continue;
    const options = { cost, placement: plan, slotsPerWorker: slots, copiesMax: Infinity };
    const { placement, before, after } = improvePlacement(options);
    candidates.push({ placement, imbalance: after }, { placement: plan, imbalance: before });
  }
  const best = candidates.reduce((least, each) =>
    each.imbalance.worst < least.imbalance.worst ? each : least,
  );
  return layerPlacement(best.placement, 0);
}
