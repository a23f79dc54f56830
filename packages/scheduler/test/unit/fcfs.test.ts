import {
  sequenceId,
  type RunningView,
  type SchedulerView,
  type WaitingView,
} from '@megascale/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fcfs, validatePlan } from '../../src/index.js';

const view = (changes: Partial<SchedulerView>): SchedulerView => ({
  nowMs: 0,
  waiting: [],
  running: [],
  kvPagesFree: 100,
  kvPageSize: 4,
  microBatchCount: 2,
  maxNumBatchedTokens: 20,
  maxNumSeqs: 8,
  prefillChunkTokensMax: 8,
  ...changes,
});

const service = (id: number) => ({
  id: sequenceId(id),
  arrivedAtMs: id,
  priority: 0,
  outputTokens: 0,
  preemptions: 0,
});

const waits = (id: number, tokensLeft: number): WaitingView => ({
  ...service(id),
  tokensLeft,
  contextTokens: 0,
  kvPages: 0,
});

/** Holds exactly the pages of its context, of 4 tokens each. */
const runs = (id: number, contextTokens: number, tokensLeft = 1): RunningView => ({
  ...service(id),
  contextTokens,
  tokensLeft,
  kvPages: Math.ceil(contextTokens / 4),
  kvPagesFreed: Math.ceil(contextTokens / 4),
});

describe('fcfs', () => {
  it('plans nothing for an empty view', () => {
    expect(fcfs.plan(view({}))).toEqual({ run: [], preempt: [] });
  });

  it.each([
    {
      name: 'lets every decoding sequence compute its one token',
      given: { running: [runs(1, 4), runs(2, 9)] },
      run: [
        [1, 1],
        [2, 1],
      ],
      preempt: [],
    },
    {
      name: 'starts waiting sequences in order, each with a chunk, while tokens are left',
      given: { waiting: [waits(1, 10), waits(2, 3), waits(3, 30), waits(4, 1), waits(5, 1)] },
      run: [
        [1, 8],
        [2, 3],
        [3, 8],
        [4, 1],
      ],
      preempt: [],
    },
    {
      name: 'gives decoding its tokens before prefill chunks, except one for the first',
      given: { running: [runs(1, 4, 9), runs(2, 4), runs(3, 4)], maxNumBatchedTokens: 4 },
      run: [
        [1, 2],
        [2, 1],
        [3, 1],
      ],
      preempt: [],
    },
    {
      name: 'goes on with a prefill before it starts another sequence',
      given: { running: [runs(1, 8, 12)], waiting: [waits(2, 5)], maxNumBatchedTokens: 10 },
      run: [
        [1, 8],
        [2, 2],
      ],
      preempt: [],
    },
    {
      name: 'does not let a small sequence overtake a head that finds no pages',
      given: { running: [runs(1, 1)], waiting: [waits(2, 9), waits(3, 1)], kvPagesFree: 2 },
      run: [[1, 1]],
      preempt: [],
    },
    {
      name: 'starts nobody on pages that a running prefill still needs',
      given: { running: [runs(1, 8, 12)], waiting: [waits(2, 4)], kvPagesFree: 3 },
      run: [[1, 8]],
      preempt: [],
    },
    {
      name: 'starts at most what maxNumSeqs leaves',
      given: { running: [runs(1, 1)], waiting: [waits(2, 1), waits(3, 1)], maxNumSeqs: 2 },
      run: [
        [1, 1],
        [2, 1],
      ],
      preempt: [],
    },
    {
      name: 'preempts the one started last when a decoding sequence needs a page',
      given: { running: [runs(1, 4), runs(2, 2), runs(3, 3)], kvPagesFree: 0 },
      run: [
        [1, 1],
        [2, 1],
      ],
      preempt: [3],
    },
    {
      name: 'preempts no more than it needs, and starts nobody in that step',
      given: {
        running: [runs(1, 4), runs(2, 8), runs(3, 8)],
        waiting: [waits(4, 1)],
        kvPagesFree: 0,
      },
      run: [
        [1, 1],
        [2, 1],
      ],
      preempt: [3],
    },
    {
      name: 'cuts a prefill chunk to the free pages rather than preempt for it',
      given: { running: [runs(1, 4, 12), runs(2, 3)], kvPagesFree: 1 },
      run: [
        [1, 4],
        [2, 1],
      ],
      preempt: [],
    },
    {
      name: 'lets the one started last wait with its pages when nobody is left to preempt',
      given: { running: [runs(1, 3), runs(2, 4)], kvPagesFree: 0 },
      run: [[1, 1]],
      preempt: [],
    },
  ])('$name', ({ given, run, preempt }) => {
    const plan = fcfs.plan(view(given));
    expect(plan.run.map(({ id, tokens }) => [id, tokens])).toEqual(run);
    expect(plan.preempt).toEqual(preempt);
  });

  const count = (min: number, max: number) => fc.integer({ min, max });
  const anyView = fc
    .record({
      running: fc.array(fc.tuple(count(1, 30), count(1, 20)), { maxLength: 6 }),
      waiting: fc.array(count(1, 30), { maxLength: 6 }),
      kvPagesFree: count(0, 12),
      maxNumBatchedTokens: count(1, 24),
      maxNumSeqs: count(1, 8),
      prefillChunkTokensMax: count(1, 12),
    })
    .map(({ running, waiting, ...limits }) =>
      view({
        ...limits,
        maxNumSeqs: Math.max(limits.maxNumSeqs, running.length),
        running: running.map(([context, left], index) => runs(index, context, left)),
        waiting: waiting.map((left, index) => waits(100 + index, left)),
      }),
    )
    // As the batcher promises: each sequence fits in the whole pool.
    .filter(({ running, waiting, kvPagesFree }) => {
      const pool = running.reduce((sum, { kvPages }) => sum + kvPages, kvPagesFree);
      const largest = [
        ...running.map((r) => r.contextTokens + r.tokensLeft),
        ...waiting.map((w) => w.tokensLeft),
      ];
      return Math.max(0, ...largest) <= pool * 4;
    });

  it('keeps every rule, and its first running sequence always goes on', () => {
    fc.assert(
      fc.property(anyView, (given) => {
        const plan = fcfs.plan(given);
        validatePlan(given, plan, fcfs.name);
        const oldest = given.running[0] ?? given.waiting[0];
        if (oldest !== undefined) expect(plan.run.map(({ id }) => id)).toContain(oldest.id);
      }),
      { numRuns: 1000 },
    );
  });

  it('plans the same for the same view and changes nothing in it', () => {
    fc.assert(
      fc.property(anyView, (given) => {
        const before = structuredClone(given);
        const plan = fcfs.plan(given);
        expect(given).toEqual(before);
        expect(fcfs.plan(before)).toEqual(plan);
      }),
    );
  });
});
