import { layerPlacement, type Placement } from '@megascale/core';
import { improvePlacement } from './improve-placement.js';
import type { Imbalance, PlacementCost } from './placement-cost.js';
import { planRedundancy } from './redundancy-plan.js';

export interface PlannedPlacement {
  /** One for each layer. */
  readonly placement: Placement;
  readonly imbalance: Imbalance;
}

/**
 * A placement for these loads, from nothing: in each layer the paper's greedy plan, then bettered.
 * Never worse than the same without copies.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' when the slots do not hold all experts.
 */
export function planPlacement(cost: PlacementCost, slotsPerWorker: number): PlannedPlacement {
  const layers = [...cost.layers.keys()];
  const greedy = (slots: number): Placement =>
    layers.map((layer) => {
      const options = { costs: cost.costs(layer), slotsPerWorker: slots };
      return planRedundancy({ ...options, expertWorkers: cost.expertWorkers }).placement;
    });
  const bettered = (placement: Placement, slots: number): Placement =>
    improvePlacement({ cost, placement, slotsPerWorker: slots, copiesMax: Infinity }).placement;
  const single = Math.ceil(cost.expertCount / cost.expertWorkers);
  const [full, bare] = [greedy(slotsPerWorker), greedy(single)];
  // The last is what comes out without copies: bettering step by step may lose sight of it where
  // there is room for more.
  const plans = [
    ...[bettered(full, slotsPerWorker), full],
    ...[bettered(bare, slotsPerWorker), bare, bettered(bare, single)],
  ];
  const placement = layers.map((layer) =>
    plans
      .map((plan) => layerPlacement(plan, layer))
      .reduce((best, each) => (cost.worst(each, layer) < cost.worst(best, layer) ? each : best)),
  );
  return { placement, imbalance: cost.of(placement) };
}
