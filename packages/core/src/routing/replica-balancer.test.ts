import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expertRank } from '../spec/units.js';
import { ReplicaBalancer } from './replica-balancer.js';

const placementOf = (ranks: readonly (readonly number[])[]) =>
  ranks.map((list) => list.map(expertRank));

/** [expert ranks] distinct activated experts of each. */
function loadsOf(ids: readonly number[], rankOfExpert: Int32Array, ranks: number): number[] {
  const loads = Array<number>(ranks).fill(0);
  for (const id of new Set(ids)) {
    if (id >= 0) loads[rankOfExpert[id] ?? 0] = (loads[rankOfExpert[id] ?? 0] ?? 0) + 1;
  }
  return loads;
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

function balanced({
  ranks,
  placement,
  ids,
}: {
  ranks: number;
  placement: number[][];
  ids: number[];
}) {
  const balancer = new ReplicaBalancer(placementOf(placement), ranks);
  balancer.balance(Int32Array.from(ids), ids.length);
  return balancer.rankOfExpert;
}

describe('ReplicaBalancer', () => {
  it('gives every row to a rank that holds its expert', () => {
    fc.assert(
      fc.property(cases, (each) => {
        const rankOfExpert = balanced(each);
        for (const id of each.ids.filter((one) => one >= 0)) {
          expect(each.placement[id]).toContain(rankOfExpert[id]);
        }
      }),
    );
  });

  it('chooses by the ids alone: not by their order, nor by what was balanced before', () => {
    fc.assert(
      fc.property(cases, fc.array(fc.nat(8), { maxLength: 20 }), (each, before) => {
        const balancer = new ReplicaBalancer(placementOf(each.placement), each.ranks);
        balancer.balance(Int32Array.from(before), before.length);
        balancer.balance(Int32Array.from(each.ids.toReversed()), each.ids.length);
        const expected = balanced(each);
        for (const id of each.ids.filter((one) => one >= 0)) {
          expect(balancer.rankOfExpert[id]).toBe(expected[id]);
        }
      }),
    );
  });

  it('does not see the order in which a placement names the holders', () => {
    fc.assert(
      fc.property(cases, (each) => {
        const placement = each.placement.map((holders) => holders.toReversed());
        const activated = new Set(each.ids.filter((id) => id >= 0));
        const [one, other] = [balanced(each), balanced({ ...each, placement })];
        for (const id of activated) expect(one[id]).toBe(other[id]);
      }),
    );
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
    balancer.balance(Int32Array.of(0, 1, 2), 3);
    expect(balancer.hasReplicas).toBe(false);
    expect([...balancer.rankOfExpert]).toEqual([1, 0, 1]);
  });

  it('prefers fewer experts, then fewer rows, then the lower rank', () => {
    const both = [0, 1];
    // Expert 0 is on rank 0 alone: the replicated expert 1 goes to rank 1.
    expect(balanced({ ranks: 2, placement: [[0], both], ids: [0, 1] })[1]).toBe(1);
    // One expert each; rank 1 has fewer rows.
    expect(balanced({ ranks: 2, placement: [[0], [1], both], ids: [0, 0, 1, 2] })[2]).toBe(1);
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
      })[1],
    ).toBe(0);
  });
});
