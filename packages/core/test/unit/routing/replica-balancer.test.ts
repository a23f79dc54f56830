import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expertRank } from '../../../src/spec/units.js';
import { ReplicaBalancer } from '../../../src/routing/replica-balancer.js';

const placementOf = (ranks: readonly (readonly number[])[]) =>
  ranks.map((list) => list.map(expertRank));

/** [expert ranks] distinct activated experts of each. */
function loadsOf(ids: readonly number[], ranksOfIds: readonly number[], ranks: number): number[] {
  const loads = Array.from({ length: ranks }, () => new Set<number>());
  for (const [index, id] of ids.entries()) if (id >= 0) loads[ranksOfIds[index] ?? 0]?.add(id);
  return loads.map(({ size }) => size);
}

/** The least greatest load over all choices of holders, one by one. */
function bestLoad(activated: readonly number[], placement: number[][], loads: number[]): number {
  const [id, ...rest] = activated;
  if (id === undefined) return Math.max(...loads);
  return Math.min(
    ...(placement[id] ?? []).map((rank) => {
      const more = loads.map((load, index) => load + (index === rank ? 1 : 0));
      return bestLoad(rest, placement, more);
    }),
  );
}

const cases = fc.integer({ min: 1, max: 5 }).chain((ranks) =>
  fc
    .array(
      fc.uniqueArray(fc.integer({ min: 0, max: ranks - 1 }), {
        minLength: 1,
        maxLength: Math.min(3, ranks),
      }),
      { minLength: 1, maxLength: 9 },
    )
    .chain((placement) =>
      fc.record({
        ranks: fc.constant(ranks),
        placement: fc.constant(placement),
        ids: fc.array(fc.integer({ min: -1, max: placement.length - 1 }), { maxLength: 30 }),
      }),
    ),
);

interface Case {
  readonly ranks: number;
  readonly placement: number[][];
  readonly ids: number[];
  readonly splitRowsMin?: number;
}

/** [ids] the rank that takes each; -1 where there is no such expert. */
function takenBy(balancer: ReplicaBalancer, ids: readonly number[]): number[] {
  balancer.balance(Int32Array.from(ids), ids.length);
  return ids.map((id) => balancer.take(id) ?? -1);
}

function balanced({ ranks, placement, ids, splitRowsMin }: Case): number[] {
  return takenBy(new ReplicaBalancer(placementOf(placement), ranks, splitRowsMin), ids);
}

describe('ReplicaBalancer', () => {
  it('gives every row to a rank that holds its expert', () => {
    fc.assert(
      fc.property(cases, fc.constantFrom(1, 16), (each, splitRowsMin) => {
        for (const [index, rank] of balanced({ ...each, splitRowsMin }).entries()) {
          const id = each.ids[index] ?? -1;
          if (id < 0) expect(rank).toBe(-1);
          else expect(each.placement[id]).toContain(rank);
        }
      }),
    );
  });

  it('gives each rank the rows that were decided, the first ones to the lowest', () => {
    const [both, ids] = [[0, 1], Array<number>(9).fill(0)];
    const balancer = new ReplicaBalancer(placementOf([both]), 2, 1);
    expect(takenBy(balancer, ids)).toEqual([0, 0, 0, 0, 0, 1, 1, 1, 1]);
    expect([...balancer.rowsOfRank]).toEqual([5, 4]);
  });

  it('keeps an expert whole when its rows are too few to be worth another read', () => {
    fc.assert(
      fc.property(cases, (each) => {
        const ranksOf = new Map<number, Set<number>>();
        for (const [index, rank] of balanced(each).entries()) {
          const id = each.ids[index] ?? -1;
          ranksOf.set(id, (ranksOf.get(id) ?? new Set()).add(rank));
        }
        for (const ranks of ranksOf.values()) expect(ranks.size).toBe(1);
      }),
    );
  });

  it('chooses by the ids alone: not by their order, nor by what was balanced before', () => {
    fc.assert(
      fc.property(cases, fc.array(fc.nat(8), { maxLength: 20 }), (each, before) => {
        const balancer = new ReplicaBalancer(placementOf(each.placement), each.ranks);
        takenBy(balancer, before);
        expect(takenBy(balancer, each.ids.toReversed()).toReversed()).toEqual(balanced(each));
      }),
    );
  });

  it('does not see the order in which a placement names the holders', () => {
    fc.assert(
      fc.property(cases, (each) => {
        const placement = each.placement.map((holders) => holders.toReversed());
        expect(balanced({ ...each, placement })).toEqual(balanced(each));
      }),
    );
  });

  it('stays with a holder when ids change after they were counted', () => {
    const balancer = new ReplicaBalancer(placementOf([[0, 1], [1]]), 2);
    balancer.balance(Int32Array.of(1, 1), 2);
    expect([balancer.take(0), balancer.take(0)]).toEqual([1, 1]);
  });

  it('loads no rank with more than ⌈log₂ N⌉ + 1 times the experts of the best choice', () => {
    // The bound of greedy assignment with restricted hosts (Azar, Naor, Rom 1995).
    fc.assert(
      fc.property(cases, (each) => {
        const activated = [...new Set(each.ids.filter((id) => id >= 0))];
        const best = bestLoad(activated, each.placement, Array<number>(each.ranks).fill(0));
        const load = Math.max(...loadsOf(each.ids, balanced(each), each.ranks));
        expect(load).toBeLessThanOrEqual((Math.ceil(Math.log2(each.ranks)) + 1) * best);
      }),
    );
  });

  it('spreads experts that every rank holds to within one', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.array(fc.nat(11)), (ranks, ids) => {
        const everywhere = Array.from({ length: ranks }, (_, rank) => rank);
        const placement = Array.from({ length: 12 }, () => everywhere);
        const loads = loadsOf(ids, balanced({ ranks, placement, ids }), ranks);
        expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(1);
      }),
    );
  });

  it('is the first of each placement where nothing is replicated', () => {
    const balancer = new ReplicaBalancer(placementOf([[1], [0], [1]]), 2);
    expect(balancer.hasReplicas).toBe(false);
    expect(takenBy(balancer, [0, 1, 2])).toEqual([1, 0, 1]);
    expect(balancer.take(3)).toBeUndefined();
  });

  it('prefers fewer experts, then fewer rows, then the lower rank', () => {
    const both = [0, 1];
    // Expert 0 is on rank 0 alone: the replicated expert 1 goes to rank 1.
    expect(balanced({ ranks: 2, placement: [[0], both], ids: [0, 1] })[1]).toBe(1);
    // One expert each; rank 1 has fewer rows.
    expect(balanced({ ranks: 2, placement: [[0], [1], both], ids: [0, 0, 1, 2] })[3]).toBe(1);
    expect(balanced({ ranks: 2, placement: [[0], [1], both], ids: [0, 1, 2] })[2]).toBe(0);
  });

  it('passes over ids that no expert has', () => {
    const ids = [-1, 7, -(2 ** 31), 1];
    expect(
      balanced({
        ranks: 2,
        placement: [
          [0, 1],
          [0, 1],
        ],
        ids,
      }),
    ).toEqual([-1, -1, -1, 0]);
  });
});
