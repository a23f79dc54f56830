import { expertId, expertRank, residentExperts, type Placement } from '@megascale/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  advanceMove,
  beginMove,
  placementInForce,
  poolOfPhase,
  type MoveState,
  type OpenPhase,
} from '../src/placement/move-phases.js';
import {
  checkMovedPlacement,
  loadOrder,
  MoveBudget,
  planMove,
} from '../src/placement/move-plan.js';

const pools = fc.record({
  attention: fc.integer({ min: 1, max: 4 }),
  expert: fc.integer({ min: 1, max: 5 }),
});

const placements = fc.integer({ min: 1, max: 5 }).chain((n) => {
  const ranks = Array.from({ length: n }, (_, rank) => expertRank(rank));
  const placement = fc.array(fc.subarray(ranks, { minLength: 1 }), { minLength: 8, maxLength: 8 });
  return fc.record({ n: fc.constant(n), from: placement, to: placement });
});

describe('planMove', () => {
  it('turns what each rank has into what it shall have, and touches nothing else', () => {
    fc.assert(
      fc.property(placements, ({ n, from, to }) => {
        const { gained, lost } = planMove(from, to, n);
        for (let rank = 0; rank < n; rank++) {
          const before = residentExperts(from, expertRank(rank));
          const has = new Set([...before, ...(gained[rank] ?? [])]);
          expect(has.size).toBe(before.length + (gained[rank]?.length ?? 0));
          for (const id of lost[rank] ?? []) expect(has.delete(id)).toBe(true);
          const wanted = residentExperts(to, expertRank(rank));
          expect([...has].sort((a, b) => a - b)).toEqual(wanted);
        }
      }),
    );
  });

  it('moves nothing between equal placements', () => {
    const placement: Placement = [[expertRank(0)], [expertRank(1), expertRank(0)]];
    const other: Placement = [[expertRank(0)], [expertRank(0), expertRank(1)]];
    expect(planMove(placement, other, 2)).toEqual({ gained: [[], []], lost: [[], []] });
  });
});

describe('loadOrder', () => {
  it('goes through a checkpoint from front to back', () => {
    expect(loadOrder([1, 4].map(expertId), 2).map(({ layer, expert }) => [layer, expert])).toEqual([
      [0, 1],
      [0, 4],
      [1, 1],
      [1, 4],
    ]);
  });
});

describe('MoveBudget', () => {
  it('never lets more bytes begin than the rate gives, what is saved and one load', () => {
    const loads = fc.array(fc.record({ waitUs: fc.nat(200_000), bytes: fc.nat(10_000_000) }), {
      minLength: 1,
      maxLength: 60,
    });
    fc.assert(
      fc.property(loads, fc.integer({ min: 1, max: 1e9 }), (all, rate) => {
        const budget = new MoveBudget(rate, 50_000);
        let nowUs = 0;
        let begun = 0;
        for (const { waitUs, bytes } of all) {
          nowUs += waitUs;
          if (!budget.allows(nowUs)) continue;
          // Before this load: those that came before it.
          expect(begun).toBeLessThanOrEqual(((nowUs + 50_000) / 1e6) * rate + 1);
          budget.spend(bytes, nowUs);
          begun += bytes;
        }
      }),
    );
  });

  it('reaches its rate', () => {
    const budget = new MoveBudget(1e6, 50_000);
    let bytes = 0;
    for (let nowUs = 0; nowUs < 10e6; nowUs += 20_000) {
      while (budget.allows(nowUs)) {
        budget.spend(1000, nowUs);
        bytes += 1000;
      }
    }
    expect(bytes).toBeGreaterThan(9.9e6);
  });
});

describe('the phases of a move', () => {
  /** Answers in any order, repeated ones and strangers among them. */
  const answers = fc.array(
    fc.record({
      phase: fc.constantFrom<OpenPhase[]>('loading', 'learning', 'adopting', 'dropping', 'undoing'),
      rank: fc.nat(5),
      failed: fc.boolean(),
    }),
    { maxLength: 200 },
  );
  const order = ['loading', 'learning', 'adopting', 'dropping', 'done'];

  it('each wait for every rank of their pool, in order, and the new placement is never in force before all have learnt it', () => {
    fc.assert(
      fc.property(pools, answers, (workers, all) => {
        let state: MoveState = beginMove(workers);
        const answered: Record<string, Set<number>> = {};
        let failed = false;
        for (const answer of all) {
          const { phase } = state;
          if (phase === answer.phase && answer.rank < workers[poolOfPhase[answer.phase]]) {
            const ranks = (answered[phase] ??= new Set());
            // What a rank says a second time is not heard.
            failed ||= phase === 'loading' && answer.failed && !ranks.has(answer.rank);
            ranks.add(answer.rank);
          }
          state = advanceMove(state, answer, workers);
          if (phase !== state.phase) {
            expect(answered[phase]?.size).toBe(workers[poolOfPhase[phase as OpenPhase]]);
            if (failed) expect(['undoing', 'undone']).toContain(state.phase);
            else expect(order.indexOf(state.phase)).toBe(order.indexOf(phase) + 1);
          }
          const learnt = answered['learning']?.size === workers.expert;
          expect(placementInForce(state)).toBe(learnt ? 'new' : 'old');
        }
      }),
    );
  });

  it('come to their end once every rank has answered', () => {
    fc.assert(
      fc.property(pools, fc.boolean(), (workers, fails) => {
        let state = beginMove(workers);
        for (let turn = 0; turn < 100 && state.waitsFor.length > 0; turn++) {
          const [rank = 0] = state.waitsFor;
          state = advanceMove(
            state,
            { phase: state.phase as OpenPhase, rank, failed: fails },
            workers,
          );
        }
        expect(state.phase).toBe(fails ? 'undone' : 'done');
      }),
    );
  });
});

describe('checkMovedPlacement', () => {
  const sizes = { expertCount: 2, expertWorkerCount: 2 };
  it.each([
    ['too few experts', [[0]], 'placement: found 1'],
    ['an expert without a holder', [[0], []], 'placement[1]'],
    ['a rank that is not there', [[0], [2]], 'expert ranks below 2'],
    ['half a rank', [[0.5], [1]], 'placement[0]'],
    ['a rank twice', [[0], [1, 1]], 'at most once'],
    ['more replicas than ranks', [[0, 1, 0], [1]], 'at most once'],
  ])('refuses %s', (_, placement, part) => {
    expect(() => {
      checkMovedPlacement(placement, sizes);
    }).toThrow(part);
  });

  it('takes what is right', () => {
    expect(() => {
      checkMovedPlacement([[1], [1, 0]], sizes);
    }).not.toThrow();
  });
});
