import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expertRank } from '../../../src/spec/units.js';
import { RowSplitter } from '../../../src/routing/row-splitter.js';

interface Case {
  readonly ranks: number;
  /** [experts] their holders. */
  readonly placement: readonly (readonly number[])[];
  /** [experts] */
  readonly counts: readonly number[];
  readonly splitRowsMin: number;
}

const cases = fc
  .record({
    ranks: fc.integer({ min: 1, max: 6 }),
    experts: fc.integer({ min: 1, max: 12 }),
    splitRowsMin: fc.constantFrom(1, 2, 16, 1000),
  })
  .chain(({ ranks, experts, splitRowsMin }) => {
    const sized = { minLength: experts, maxLength: experts };
    const rank = fc.integer({ min: 0, max: ranks - 1 });
    return fc.record({
      ranks: fc.constant(ranks),
      placement: fc.array(fc.uniqueArray(rank, { minLength: 1, maxLength: 3 }), sized),
      counts: fc.array(fc.oneof(fc.nat(5), fc.nat(500)), sized),
      splitRowsMin: fc.constant(splitRowsMin),
    });
  });

function splitterOf({ placement, ranks, splitRowsMin }: Omit<Case, 'counts'>): RowSplitter {
  return new RowSplitter(
    placement.map((holders) => holders.map(expertRank)),
    ranks,
    splitRowsMin,
  );
}

function split(each: Case): RowSplitter {
  const splitter = splitterOf(each);
  splitter.split(Int32Array.from(each.counts));
  return splitter;
}

/** [experts] of [its holders] */
function partsOf(splitter: RowSplitter, { placement }: Case): number[][] {
  return placement.map((_, id) => [
    ...splitter.rows.subarray(splitter.holdersStart[id], splitter.holdersStart[id + 1]),
  ]);
}

/**
 * The least greatest number of rows on a rank when rows can be divided at will: experts that only
 * ranks of a set hold have nowhere else to go, so the mean of the most loaded set is a bound, and
 * the bound is reached (Hall's theorem for flows).
 */
function leastGreatest({ ranks, placement, counts }: Case): number {
  let most = 0;
  for (let set = 1; set < 1 << ranks; set++) {
    const inside = placement.map((holders) => holders.every((rank) => ((set >> rank) & 1) === 1));
    const rows = counts.reduce((sum, count, id) => sum + (inside[id] === true ? count : 0), 0);
    const size = Array.from({ length: ranks }, (_, rank) => (set >> rank) & 1);
    most = Math.max(most, rows / size.reduce((sum, bit) => sum + bit, 0));
  }
  return most;
}

describe('RowSplitter', () => {
  it('gives every row to a holder, and adds up what each rank has', () => {
    fc.assert(
      fc.property(cases, (each) => {
        const splitter = split(each);
        const rows = Array<number>(each.ranks).fill(0);
        const costs = Array<number>(each.ranks).fill(0);
        for (const [id, parts] of partsOf(splitter, each).entries()) {
          expect(parts.reduce((sum, part) => sum + part, 0)).toBe(each.counts[id]);
          const holders = each.placement[id]?.toSorted((a, b) => a - b) ?? [];
          for (const [index, rank] of holders.entries()) {
            const part = parts[index] ?? 0;
            rows[rank] = (rows[rank] ?? 0) + part;
            const cost = part === 0 ? 0 : Math.max(part, each.splitRowsMin);
            costs[rank] = (costs[rank] ?? 0) + cost;
          }
        }
        expect([...splitter.rowsOfRank]).toEqual(rows);
        expect([...splitter.costOfRank]).toEqual(costs);
      }),
    );
  });

  it('splits an expert only in parts that are worth the read', () => {
    fc.assert(
      fc.property(cases, (each) => {
        for (const parts of partsOf(split(each), each)) {
          const taken = parts.filter((part) => part > 0);
          if (taken.length > 1)
            expect(Math.min(...taken)).toBeGreaterThanOrEqual(each.splitRowsMin);
        }
      }),
    );
  });

  it('comes within an eighth of the best division, and a row', () => {
    fc.assert(
      fc.property(cases, (each) => {
        const free = { ...each, splitRowsMin: 1 };
        const most = Math.max(...split(free).rowsOfRank);
        expect(most).toBeLessThanOrEqual(Math.ceil(leastGreatest(free)) * 1.125 + 1);
      }),
      { numRuns: 2000 },
    );
  });

  it('costs no rank more than the greatest without replicas, but for one expert', () => {
    fc.assert(
      fc.property(cases, (each) => {
        const first = each.placement.map(([rank]) => [rank ?? 0]);
        const without = Math.max(...split({ ...each, placement: first }).costOfRank);
        const widest = Math.max(
          0,
          ...each.counts.map((count) => Math.max(count, each.splitRowsMin)),
        );
        // What cannot be split may pass it.
        expect(Math.max(...split(each).costOfRank)).toBeLessThanOrEqual(without + widest);
      }),
    );
  });

  it('does not depend on what was split before, nor on the order of the holders', () => {
    fc.assert(
      fc.property(
        cases,
        fc.array(fc.nat(300), { minLength: 12, maxLength: 12 }),
        (each, before) => {
          const splitter = splitterOf({
            ...each,
            placement: each.placement.map((h) => h.toReversed()),
          });
          splitter.split(Int32Array.from(before.slice(0, each.counts.length)));
          splitter.split(Int32Array.from(each.counts));
          expect(partsOf(splitter, each)).toEqual(partsOf(split(each), each));
        },
      ),
    );
  });

  it('pours a hot expert over the ranks that have little', () => {
    const placement = [[0], [1], [0, 1, 2]];
    const splitter = split({ ranks: 3, placement, counts: [20, 40, 60], splitRowsMin: 16 });
    expect([...splitter.rowsOfRank]).toEqual([40, 40, 40]);
    expect([...splitter.rows]).toEqual([20, 40, 20, 0, 40]);
  });

  it('reads an expert twice only for enough rows', () => {
    const both = { ranks: 2, placement: [[0, 1]], splitRowsMin: 16 };
    expect([...split({ ...both, counts: [31] }).rows]).toEqual([31, 0]);
    expect([...split({ ...both, counts: [32] }).rows]).toEqual([16, 16]);
  });
});
