import { expertRank, residentExpertsByLayer, type Placement } from '@megascale/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  advanceMove,
  beginMove,
  placementInForce,
  poolOfPhase,
  type MoveState,
  type OpenPhase,
} from '../../src/placement/move-phases.js';
import { checkMovedPlacement, MoveBudget, planMove } from '../../src/placement/move-plan.js';

const pools = fc.record({
  attention: fc.integer({ min: 1, max: 4 }),
  expert: fc.integer({ min: 1, max: 5 }),
});

const layerCount = 3;
const placements = fc.integer({ min: 1, max: 5 }).chain((n) => {
  const ranks = Array.from({ length: n }, (_, rank) => expertRank(rank));
  const ofLayer = fc.array(fc.subarray(ranks, { minLength: 1 }), { minLength: 8, maxLength: 8 });
  const placement = fc.oneof(
    fc.array(ofLayer, { minLength: layerCount, maxLength: layerCount }),
    // One for all layers.
    fc.array(ofLayer, { minLength: 1, maxLength: 1 }),
  );
  return fc.record({ n: fc.constant(n), from: placement, to: placement });
});

describe('planMove', () => {
  it('turns what each rank has into what it shall have, and touches nothing else', () => {
    fc.assert(
      fc.property(placements, ({ n, from, to }) => {
        const { gained, lost } = planMove(from, to, { expertWorkerCount: n, layerCount });
        for (let rank = 0; rank < n; rank++) {
          const has = residentExpertsByLayer(from, expertRank(rank), layerCount).map(
            (ids) => new Set(ids),
          );
          for (const { layer, expert } of gained[rank] ?? []) {
            expect(has[layer]?.has(expert)).toBe(false);
            has[layer]?.add(expert);
          }
          for (const { layer, expert } of lost[rank] ?? []) {
            expect(has[layer]?.delete(expert)).toBe(true);
          }
          const wanted = residentExpertsByLayer(to, expertRank(rank), layerCount);
          expect(has.map((ids) => [...ids].sort((a, b) => a - b))).toEqual(wanted);
          const places = (gained[rank] ?? []).map(({ layer, expert }) => layer * 8 + expert);
          expect(places, 'the order of a checkpoint').toEqual(places.toSorted((a, b) => a - b));
        }
      }),
    );
  });

  it('moves nothing between equal placements', () => {
    const placement: Placement = [[[expertRank(0)], [expertRank(1), expertRank(0)]]];
    const other: Placement = [[[expertRank(0)], [expertRank(0), expertRank(1)]]];
    const sizes = { expertWorkerCount: 2, layerCount };
    expect(planMove(placement, other, sizes)).toEqual({ gained: [[], []], lost: [[], []] });
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
  const right = [[1], [1, 0]];
  const sizes = { layerCount: 3, expertCount: 2, expertWorkerCount: 2 };
  it.each([
    ['no layer', [], 'placement: found 0'],
    ['too few layers', [right, right], 'placement: found 2'],
    ['too many layers', [right, right, right, right], 'placement: found 4'],
    ['too few experts', [[[0]]], 'placement[0]: found 1'],
    ['too many experts in a later layer', [right, right, [...right, [0]]], 'placement[2]: found 3'],
    ['an expert without a holder', [[[0], []]], 'placement[0][1]'],
    ['a rank that is not there', [right, [[0], [2]], right], 'placement[1][1]: found 2'],
    ['half a rank', [[[0.5], [1]]], 'placement[0][0]'],
    ['a rank twice', [[[0], [1, 1]]], 'at most once'],
    ['what is no list', 'even', 'placement: found "even"'],
    ['a layer that is none', [null], 'placement[0]: found null'],
    ['the placement of a layer alone', [[0], [1], [0]], 'placement[0]: found 1'],
    ['holders that are no list', [[0, 1]], 'placement[0][0]: found 0'],
    ['a rank that is a text', [[['0'], [1]]], 'placement[0][0]: found "0"'],
    ['more replicas than ranks', [[[0, 1, 0], [1]]], 'at most once'],
  ])('refuses %s', (_, placement, part) => {
    expect(() => {
      checkMovedPlacement(placement, sizes);
    }).toThrow(part);
  });

  it('takes what is right', () => {
    expect(() => {
      checkMovedPlacement([right], sizes);
      checkMovedPlacement([right, [[0], [0]], right], sizes);
    }).not.toThrow();
  });
});
