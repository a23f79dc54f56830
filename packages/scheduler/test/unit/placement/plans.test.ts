import { layerPlacement, type LayerPlacement, type Placement } from '@megascale/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  copiesBetween,
  improvePlacement,
  PlacementCost,
  PlacementPlanner,
  planPlacement,
  planRedundancy,
  totalLoads,
  zipfTrace,
  type ExpertLoads,
} from '../../../src/index.js';

interface Case {
  readonly loads: ExpertLoads;
  readonly workers: number;
  readonly slots: number;
  readonly splitRowsMin: number;
}

const cases: fc.Arbitrary<Case> = fc
  .record({
    layerCount: fc.integer({ min: 1, max: 3 }),
    expertCount: fc.integer({ min: 1, max: 14 }),
    workers: fc.integer({ min: 1, max: 5 }),
    spare: fc.integer({ min: 0, max: 3 }),
    splitRowsMin: fc.constantFrom(1, 16),
  })
  .filter(({ expertCount, workers }) => workers <= expertCount)
  .chain(({ layerCount, expertCount, workers, spare, splitRowsMin }) => {
    const cells = layerCount * expertCount;
    const rows = fc.array(fc.oneof(fc.nat(10), fc.nat(5000)), {
      minLength: cells,
      maxLength: cells,
    });
    return rows.map((list) => ({
      loads: { layerCount, expertCount, dispatches: 3, rows: list },
      workers,
      slots: Math.min(expertCount, Math.ceil(expertCount / workers) + spare),
      splitRowsMin,
    }));
  });

/** Its one row cannot be divided, whatever the mean. */
const oneBusyExpert: Case = {
  loads: { layerCount: 1, expertCount: 3, dispatches: 3, rows: [1, 0, 0] },
  workers: 3,
  slots: 1,
  splitRowsMin: 16,
};

const fiveRows: Pick<Case, 'loads' | 'workers'> = {
  loads: { layerCount: 1, expertCount: 4, dispatches: 3, rows: [5, 0, 0, 0] },
  workers: 4,
};

const costOf = ({ loads, workers, splitRowsMin }: Case): PlacementCost =>
  new PlacementCost(loads, workers, splitRowsMin);

/** Experts in turn, one holder each, in every layer. */
const single = ({ loads, workers }: Case): Placement => [
  Array.from({ length: loads.expertCount }, (_, id) => [id % workers]) as unknown as LayerPlacement,
];

/** The sum over layers of what is bettered. */
function smoothOf(cost: PlacementCost, placement: Placement): number {
  return [...cost.layers.keys()].reduce(
    (sum, layer) => sum + cost.smooth(layerPlacement(placement, layer), layer),
    0,
  );
}

function expectFits(placement: Placement, each: Case): void {
  for (const layer of placement) expectLayerFits(layer, each);
}

function expectLayerFits(placement: LayerPlacement, { loads, workers, slots }: Case): void {
  expect(placement.length).toBe(loads.expertCount);
  const held = Array<number>(workers).fill(0);
  for (const ranks of placement) {
    expect(ranks.length).toBeGreaterThan(0);
    expect(new Set(ranks).size).toBe(ranks.length);
    for (const rank of ranks) held[rank] = (held[rank] ?? 0) + 1;
  }
  expect(held.length).toBe(workers);
  expect(Math.max(...held)).toBeLessThanOrEqual(slots);
}

describe('planRedundancy', () => {
  it('gives every expert a holder, no worker an expert twice, and none more than it has slots for', () => {
    fc.assert(
      fc.property(cases, (each) => {
        const options = { costs: costOf(each).costs(0), expertWorkers: each.workers };
        expectLayerFits(planRedundancy({ ...options, slotsPerWorker: each.slots }).placement, each);
      }),
    );
  });

  it('divides each expert wholly, and adds up what each worker costs', () => {
    fc.assert(
      fc.property(cases, (each) => {
        const costs = costOf(each).costs(0);
        const options = { costs, expertWorkers: each.workers, slotsPerWorker: each.slots };
        const { placement, fractions, costOfRank } = planRedundancy(options);
        const sums = Array<number>(each.workers).fill(0);
        for (const [id, ranks] of placement.entries()) {
          const parts = fractions[id] ?? [];
          expect(parts.reduce((sum, part) => sum + part, 0)).toBeCloseTo(1, 6);
          for (const [index, rank] of ranks.entries()) {
            sums[rank] = (sums[rank] ?? 0) + (parts[index] ?? 0) * (costs[id] ?? 0);
          }
        }
        const scale = Math.max(1, ...costs);
        for (const [rank, sum] of sums.entries()) {
          expect(sum / scale).toBeCloseTo((costOfRank[rank] ?? 0) / scale, 6);
        }
      }),
    );
  });

  it('with slots enough, costs no worker more than a thirty-second over the mean', () => {
    fc.assert(
      fc.property(cases, (each) => {
        const costs = [...costOf(each).costs(0)];
        const slotsPerWorker = costs.length;
        const plan = planRedundancy({ costs, expertWorkers: each.workers, slotsPerWorker });
        const mean = costs.reduce((sum, cost) => sum + cost, 0) / each.workers;
        expect(Math.max(...plan.costOfRank)).toBeLessThanOrEqual(mean * (1 + 1 / 32) + 1e-6 * mean);
      }),
    );
  });

  it('halves an expert that is half of all', () => {
    const plan = planRedundancy({ costs: [4, 2, 1, 1], expertWorkers: 4, slotsPerWorker: 2 });
    expect(plan.fractions[0]).toEqual([0.5, 0.5, 0]);
    expect(plan.costOfRank).toEqual([2, 2, 2, 2]);
  });

  it('says how many slots it would take', () => {
    const options = { costs: [1, 1, 1], expertWorkers: 2, slotsPerWorker: 1 };
    expect(() => planRedundancy(options)).toThrow('at least 2 slots');
  });
});

describe('planPlacement', () => {
  it('fits, is never worse than without copies, and is the same for the same loads', () => {
    fc.assert(
      fc.property(cases, (each) => {
        const cost = costOf(each);
        const { placement, imbalance } = planPlacement(cost, each.slots);
        expect(placement.length).toBe(each.loads.layerCount);
        expectFits(placement, each);
        const bare = Math.ceil(each.loads.expertCount / each.workers);
        expect(imbalance.worst).toBeLessThanOrEqual(planPlacement(cost, bare).imbalance.worst);
        expect(planPlacement(costOf(each), each.slots).placement).toEqual(placement);
      }),
    );
  });

  it('comes within half of what no placement can beat', () => {
    fc.assert(
      fc.property(cases, (each) => {
        const full = { ...each, slots: each.loads.expertCount, splitRowsMin: 1 };
        const { imbalance } = planPlacement(costOf(full), full.slots);
        // No expert is divided into parts of less than a row of each dispatch, so none below two of
        // them is divided.
        const whole = 2 * each.loads.dispatches - 1;
        expect(imbalance.worst).toBeLessThanOrEqual(
          imbalance.ideal * 1.5 + each.loads.layerCount * whole,
        );
      }),
      { examples: [[oneBusyExpert], [{ ...oneBusyExpert, ...fiveRows }]] },
    );
  });

  it.each([8, 16, 64, 128])(
    'balances Zipf 1.2 over 4 workers: %i experts, one copy each',
    (experts) => {
      const topK = experts > 16 ? 8 : 2;
      const sizes = { layerCount: 2, expertCount: experts, topK };
      const shape = { windows: 2, dispatchesPerWindow: 20, tokensPerDispatch: 256, windowUs: 1 };
      const trace = zipfTrace({ ...sizes, ...shape, exponent: 1.2, seed: 1 });
      const cost = new PlacementCost(totalLoads(sizes, trace), 4, 16);
      const { imbalance } = planPlacement(cost, experts / 4 + 1);
      expect(imbalance.rows).toBeLessThanOrEqual(1.15);
      expect(imbalance.cost).toBeLessThanOrEqual(1.15);
    },
  );
});

describe('improvePlacement', () => {
  it('loads no more copies than it may, fits, and never makes it worse by its own measure', () => {
    fc.assert(
      fc.property(cases, fc.nat(4), (each, copiesMax) => {
        const cost = costOf(each);
        const placement = single(each);
        const options = { cost, placement, slotsPerWorker: each.slots, copiesMax };
        const improved = improvePlacement(options);
        expectFits(improved.placement, each);
        expect(improved.copies).toBe(copiesBetween(placement, improved.placement));
        expect(improved.copies).toBeLessThanOrEqual(copiesMax);
        expect(smoothOf(cost, improved.placement)).toBeLessThanOrEqual(smoothOf(cost, placement));
      }),
    );
  });

  it('comes to rest: asked again, it changes nothing', () => {
    fc.assert(
      fc.property(cases, (each) => {
        const cost = costOf(each);
        let placement = single(each);
        const options = { cost, slotsPerWorker: each.slots, copiesMax: 2 };
        for (let turn = 0; turn < 100; turn++) {
          const improved = improvePlacement({ ...options, placement });
          if (improved.placement === placement) return;
          expect(smoothOf(cost, improved.placement)).toBeLessThan(smoothOf(cost, placement));
          placement = improved.placement;
        }
        expect.fail('it still moves experts after a hundred plans');
      }),
      { numRuns: 50 },
    );
  });
});

describe('PlacementPlanner', () => {
  const sizes = { layerCount: 2, expertCount: 16, topK: 2 };
  const options = {
    ...sizes,
    expertWorkers: 4,
    slotsPerWorker: 5,
    splitRowsMin: 16,
    expertBytes: 1000,
    moveBytesMax: 1500,
    margin: 0.05,
    halfLifeUs: 4_000_000,
  };
  const shape = { windows: 1, dispatchesPerWindow: 40, tokensPerDispatch: 128, windowUs: 1e6 };
  const even = [Array.from({ length: 16 }, (_, id) => [id >> 2])] as unknown as Placement;

  it('says nothing before it has seen traffic', () => {
    const planner = new PlacementPlanner(options);
    expect(planner.propose(even)).toBeUndefined();
    expect(planner.imbalance(even)).toBeUndefined();
  });

  it('says nothing of traffic that is even', () => {
    const planner = new PlacementPlanner(options);
    for (const window of zipfTrace({ ...sizes, ...shape, exponent: 0, seed: 1 })) {
      planner.observe(window);
    }
    expect(planner.propose(even)).toBeUndefined();
  });

  it('goes to balance in steps within the byte budget, and then rests', () => {
    const planner = new PlacementPlanner(options);
    for (const window of zipfTrace({ ...sizes, ...shape, exponent: 1.2, seed: 1 })) {
      planner.observe(window);
    }
    const loads = totalLoads(sizes, zipfTrace({ ...sizes, ...shape, exponent: 1.2, seed: 1 }));
    const cost = new PlacementCost(loads, 4, 16);
    const worst = (placement: Placement, layer: number) =>
      Math.max(...cost.split(layerPlacement(placement, layer), layer).costOfRank);
    let placement = even;
    let proposals = 0;
    for (;;) {
      const proposal = planner.propose(placement);
      if (proposal === undefined) break;
      proposals += 1;
      expect(proposal.bytes).toBe(copiesBetween(placement, proposal.placement) * 1000);
      expect(proposal.bytes).toBeLessThanOrEqual(1500);
      expect(proposal.after.worst).toBeLessThan(proposal.before.worst);
      for (const layer of [0, 1]) {
        if (layerPlacement(proposal.placement, layer) === layerPlacement(placement, layer))
          continue;
        const ratio = worst(proposal.placement, layer) / worst(placement, layer);
        expect(ratio).toBeLessThanOrEqual(0.95);
      }
      placement = proposal.placement;
    }
    expect(proposals).toBeGreaterThan(1);
    expect(planner.imbalance(even)?.rows).toBeGreaterThan(1.5);
    // One more copy gains less than the margin.
    expect(planner.imbalance(placement)?.cost).toBeLessThanOrEqual(1.08);
  });

  it('needs no plan from nothing: bettered layer by layer, what began even is as level', () => {
    for (const seed of [1, 2, 3, 4]) {
      const many = { ...shape, tokensPerDispatch: 2048 };
      const trace = zipfTrace({ ...sizes, ...many, exponent: 1.2, seed, order: 'each-layer' });
      const cost = new PlacementCost(totalLoads(sizes, trace), 4, 16);
      const improved = improvePlacement({
        cost,
        placement: even,
        slotsPerWorker: 5,
        copiesMax: Infinity,
      });
      expect(improved.before.cost).toBeGreaterThan(1.5);
      expect(improved.after.cost).toBeLessThanOrEqual(1.03);
    }
  });

  it('follows traffic that changes, and forgets what was', () => {
    const planner = new PlacementPlanner({ ...options, moveBytesMax: 1e6 });
    const [first] = zipfTrace({ ...sizes, ...shape, exponent: 1.2, seed: 1 });
    if (first !== undefined) planner.observe(first);
    const before = planner.propose(even)?.placement ?? even;
    for (const seed of [2, 2, 2, 2, 2, 2]) {
      for (const window of zipfTrace({ ...sizes, ...shape, exponent: 1.2, seed })) {
        planner.observe({ ...window, durationUs: 8e6 });
      }
    }
    const after = planner.propose(before);
    expect(after?.before.rows).toBeGreaterThan(1.3);
    expect(after?.after.cost).toBeLessThanOrEqual(1.05);
  });
});
