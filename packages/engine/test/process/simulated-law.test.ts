import { expertRank, residentExpertsByLayer } from '@megascale/core';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { expectedOutput } from '../support/simulation/hashed-model.js';
import { leftUnderWay } from '../support/simulation/left-under-way.js';
import { kvPageCountOf } from '../support/simulation/rank.js';
import { peerTimeoutMs, schedules, type Schedule } from '../support/simulation/schedule.js';
import { Simulation, type Simulated } from '../support/simulation/simulation.js';

/**
 * Law 1 on a simulated clock: what ships (batcher, policies, step driver, attention loop, expert
 * loop, ports, gather, emulated link), under schedules that are drawn.
 *
 * MEGASCALE_SCHEDULES=5000 npx vitest run packages/engine/test/process/simulated-law.test.ts
 * more of them MEGASCALE_SEED=… MEGASCALE_PATH=…
 * again, as a failure printed them
 */
const { MEGASCALE_SCHEDULES, MEGASCALE_SEED, MEGASCALE_PATH } = process.env;
const runs = Number(MEGASCALE_SCHEDULES ?? 120);

const simulation = new Simulation();
afterAll(() => simulation.close());

const lossCodes = ['ERR_PEER_CLOSED', 'ERR_PEER_TIMEOUT'];

function mayLoseWorkers({ faults }: Schedule): boolean {
  // Several stalls may fall into one wait.
  const stalledMs = faults.reduce((sum, { ms }) => sum + ms, 0);
  return faults.some(({ type }) => type === 'loss') || stalledMs >= peerTimeoutMs / 2;
}

function expectLaw(schedule: Schedule, { outputs, ranks, moves }: Simulated): boolean {
  const errors = ranks.flatMap(({ error }) => (error === undefined ? [] : [error]));
  if (!mayLoseWorkers(schedule)) expect(errors).toEqual([]);
  for (const { code, message } of errors) expect(lossCodes, message).toContain(code);
  const model = { ...schedule, kvPageCount: kvPageCountOf(schedule) };
  const lost = errors.length > 0;
  for (const [
    id,
    { prompt, maxTokens, stopsAtZero, leavesAfterUs },
  ] of schedule.requests.entries()) {
    const endTokenIds = stopsAtZero ? [0] : [];
    const expected = expectedOutput(model, prompt, { maxTokens, endTokenIds });
    const tokens = outputs[id] ?? [];
    const ids = tokens.map((token) => token.id);
    const ends = tokens.flatMap(({ finished }, place) =>
      finished === undefined ? [] : [`${finished} at ${place}`],
    );
    const reason = stopsAtZero && expected.at(-1) === 0 ? 'stop' : 'length';
    const end = `${reason} at ${expected.length - 1}`;
    if (!lost && leavesAfterUs === undefined) {
      expect(ids).toEqual(expected);
      expect(ends).toEqual([end]);
    } else {
      expect(ids).toEqual(expected.slice(0, ids.length));
      expect(ends).toEqual(ids.length === expected.length ? [end] : []);
    }
  }
  if (lost) return true;
  const rowsOf = (first: number, last: number): number =>
    ranks.slice(first, last).reduce((sum, { rows }) => sum + rows, 0);
  const { attentionWorkers } = schedule;
  // Each (token, expert) is computed once, by one of the expert's replicas.
  expect(rowsOf(attentionWorkers, ranks.length)).toBe(rowsOf(0, attentionWorkers));
  expect(ranks.map(({ kvPagesLeft }) => kvPagesLeft)).toEqual(ranks.map(() => 0));
  expect(moves).toMatchObject({ done: schedule.moves.length, isMoving: false, error: undefined });
  for (const [rank, { experts }] of ranks.slice(attentionWorkers).entries()) {
    const { layerCount } = schedule;
    expect(experts).toEqual(residentExpertsByLayer(moves.placement, expertRank(rank), layerCount));
  }
  return false;
}

describe('drawn schedules on a simulated clock', () => {
  it(
    'change no token, end every request once, and give every page back',
    async () => {
      const seen = {
        schedules: 0,
        lost: 0,
        preempted: 0,
        early: 0,
        moved: 0,
        tokens: 0,
        turns: 0,
        ms: 0,
      };
      await fc.assert(
        fc.asyncProperty(schedules, async (schedule) => {
          const played = await simulation.play(schedule);
          if (expectLaw(schedule, played)) seen.lost += 1;
          seen.schedules += 1;
          if (played.ranks.some(({ preemptions }) => preemptions > 0)) seen.preempted += 1;
          if (played.ranks.some(({ earlySteps }) => earlySteps > 0)) seen.early += 1;
          if (played.moves.bytesMoved > 0) seen.moved += 1;
          seen.tokens += played.outputs.flat().length;
          seen.turns += played.turns;
          seen.ms += Math.round(played.simulatedUs / 1000);
        }),
        {
          numRuns: runs,
          // A schedule that hangs takes a minute: there is no time to look for a smaller one.
          endOnFailure: true,
          examples: [[leftUnderWay]],
          ...(MEGASCALE_SEED === undefined ? {} : { seed: Number(MEGASCALE_SEED) }),
          ...(MEGASCALE_PATH === undefined ? {} : { path: MEGASCALE_PATH }),
        },
      );
      if (runs > 120) console.info('simulated', seen);
      // They do what they are drawn for.
      expect(seen.preempted).toBeGreaterThan(0);
      expect(seen.early).toBeGreaterThan(0);
      expect(seen.lost).toBeGreaterThan(0);
      expect(seen.moved).toBeGreaterThan(0);
    },
    60_000 + runs * 2000,
  );

  it('go the same way each time', async () => {
    for (const schedule of fc.sample(schedules, { numRuns: 5, seed: 7 })) {
      const first = await simulation.play(schedule);
      expect(await simulation.play(schedule)).toEqual(first);
    }
  }, 120_000);
});
