import type { Placement } from '@megascale/core';
import { improvePlacement } from './improve-placement.js';
import type { Imbalance, PlacementCost } from './placement-cost.js';
import { planRedundancy } from './redundancy-plan.js';

export interface PlannedPlacement {
  readonly placement: Placement;
  readonly imbalance: Imbalance;
}

/**
 * A placement for these loads, from nothing: the paper's greedy plan of all layers' costs together, then bettered layer by layer. Never
 * worse than the same without copies.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' when the slots do not hold all experts.
 */
export function planPlacement(cost: PlacementCost, slotsPerWorker: number): PlannedPlacement {
  const { expertWorkers, expertCount } = cost;
  const costs = cost.costs();
  const single = Math.ceil(expertCount / expertWorkers);
  const plans = [slotsPerWorker, single].map(
    (slots) => planRedundancy({ costs, expertWorkers, slotsPerWorker: slots }).placement,
  );
  const bettered = (placement: Placement, slots: number): PlannedPlacement => {
    const copiesMax = Number.POSITIVE_INFINITY;
    const improved = improvePlacement({ cost, placement, slotsPerWorker: slots, copiesMax });
    return { placement: improved.placement, imbalance: improved.after };
  };
  const candidates = [
    ...plans.map((placement) => bettered(placement, slotsPerWorker)),
    // What comes out without copies: bettering step by step may lose sight of it where there is room for more.
    ...plans.slice(1).map((placement) => bettered(placement, single)),
    ...plans.map((placement) => ({ placement, imbalance: cost.of(placement) })),
  ];
  return candidates.reduce((best, each) =>
    each.imbalance.worst < best.imbalance.worst ? each : best,
  );
}
