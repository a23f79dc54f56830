import { MegascaleError, sequenceId, type SchedulerView, type StepPlan } from '@megascale/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Batcher, fcfs, validatePlan } from '../../src/index.js';

const service = (id: number) => ({
  id: sequenceId(id),
  arrivedAtMs: 0,
  priority: 0,
  outputTokens: 0,
  preemptions: 0,
});

/** 1 runs (4 tokens in 1 page, decoding), 2 runs (4 in 1, prefill of 9), 3 and 4 wait. */
const view: SchedulerView = {
  nowMs: 0,
  running: [
    { ...service(1), contextTokens: 4, tokensLeft: 1, kvPages: 1, kvPagesFreed: 1 },
    { ...service(2), contextTokens: 4, tokensLeft: 9, kvPages: 1, kvPagesFreed: 1 },
  ],
  waiting: [
    { ...service(3), contextTokens: 0, tokensLeft: 6, kvPages: 0 },
    { ...service(4), contextTokens: 0, tokensLeft: 6, kvPages: 0 },
  ],
  kvPagesFree: 2,
  kvPageSize: 4,
  microBatchCount: 2,
  maxNumBatchedTokens: 10,
  maxNumSeqs: 3,
  prefillChunkTokensMax: 8,
};

const plan = (run: Record<number, number>, preempt: readonly number[] = []): StepPlan => ({
  run: Object.entries(run).map(([id, tokens]) => ({ id: sequenceId(Number(id)), tokens })),
  preempt: preempt.map(sequenceId),
});

/** The rule that validatePlan names, or undefined when the plan is good. */
function brokenRule(candidate: StepPlan): unknown {
  try {
    validatePlan(view, candidate, 'tested');
    return undefined;
  } catch (error) {
    if (!MegascaleError.isInstance(error) || error.code !== 'ERR_PLAN_INVALID') throw error;
    expect(error.message).toContain(`'${String(error.details['rule'])}'`);
    expect(error.details['policy']).toBe('tested');
    return error.details['rule'];
  }
}

describe('the check of a plan', () => {
  it.each([
    { plan: plan({ 1: 1, 2: 4 }) },
    { plan: plan({ 1: 1, 3: 4 }) },
    { plan: plan({ 1: 1, 3: 6 }, [2]) },
    { plan: plan({ 2: 4, 3: 4 }) },
  ])('lets a good plan pass: $plan', ({ plan: good }) => {
    expect(brokenRule(good)).toBeUndefined();
  });

  it.each([
    { rule: 'known-sequences', bad: plan({ 9: 1 }) },
    { rule: 'known-sequences', bad: plan({ 1: 1 }, [9]) },
    {
      rule: 'named-once',
      bad: { run: [...plan({ 1: 1 }).run, ...plan({ 1: 1 }).run], preempt: [] },
    },
    { rule: 'named-once', bad: plan({ 1: 1 }, [1]) },
    { rule: 'named-once', bad: plan({ 1: 1 }, [2, 2]) },
    { rule: 'preempt-running-only', bad: plan({ 1: 1 }, [3]) },
    { rule: 'tokens-in-range', bad: plan({ 1: 0 }) },
    { rule: 'tokens-in-range', bad: plan({ 1: 2 }) },
    { rule: 'tokens-in-range', bad: plan({ 2: 1.5 }) },
    { rule: 'tokens-in-range', bad: plan({ 2: NaN }) },
    { rule: 'chunk-within-limit', bad: plan({ 2: 9 }) },
    { rule: 'step-within-limit', bad: plan({ 2: 8, 3: 3 }) },
    { rule: 'running-within-limit', bad: plan({ 3: 4, 4: 4 }) },
    { rule: 'pages-within-free', bad: plan({ 1: 1, 2: 5 }) },
    { rule: 'pages-within-free', bad: plan({ 1: 1, 2: 1, 3: 1 }) },
    { rule: 'progress', bad: plan({}) },
    { rule: 'progress', bad: plan({}, [1, 2]) },
  ])('names $rule for $bad', ({ rule, bad }) => {
    expect(brokenRule(bad)).toBe(rule);
  });

  it('takes an empty plan where there is nothing to do', () => {
    const nothing = { ...view, running: [], waiting: [] };
    expect(() => {
      validatePlan(nothing, plan({}), 'tested');
    }).not.toThrow();
  });
});

describe('a batcher', () => {
  const count = (min: number, max: number) => fc.integer({ min, max });

  /**
   * Steps of a policy that plans one token for each, whether or not there is room: [plans that were
   * taken, plans that were refused].
   */
  function plansOfOneEach(given: {
    readonly prompts: readonly number[];
    readonly kvPageSize: number;
    readonly kvPageCount: number;
    readonly maxNumBatchedTokens: number;
    readonly oneEach: readonly boolean[];
  }): readonly [number, number] {
    const { kvPageSize, kvPageCount, maxNumBatchedTokens } = given;
    let [oneEach, breaksRule] = [false, false];
    let [taken, refused] = [0, 0];
    const batcher = new Batcher({
      policy: {
        specVersion: 1,
        name: 'one token each',
        plan(shown) {
          const running = shown.running.map(({ id }) => ({ id, tokens: 1 }));
          const planned = oneEach ? { run: running, preempt: [] } : fcfs.plan(shown);
          try {
            validatePlan(shown, planned, 'tested');
            breaksRule = false;
          } catch {
            breaksRule = true;
          }
          return planned;
        },
      },
      kvPageSize,
      kvPageCount,
      maxNumBatchedTokens,
      microBatchCount: 2,
      ...{
        tokensPerMicroBatchMax: 8,
        prefillChunkTokensMax: 4,
        maxNumSeqs: 6,
        maxQueuedRequests: 9,
      },
      positionsMax: 100,
    });
    for (const [id, tokens] of given.prompts.entries()) {
      batcher.add({
        id: sequenceId(id),
        promptTokens: Array.from({ length: tokens }, (_, i) => i + id),
        maxTokens: 6,
        eosTokenIds: [],
        ignoreEos: true,
        arrivedAtMs: id,
        sampling: {},
      });
    }
    for (const each of given.oneEach) {
      oneEach = each;
      let step: ReturnType<Batcher['planStep']>;
      try {
        step = batcher.planStep(0);
        expect(breaksRule).toBe(false);
      } catch (error) {
        if (!MegascaleError.isInstance(error)) throw error;
        expect(breaksRule).toBe(true);
        refused += 1;
        continue;
      }
      if (step === undefined) break;
      taken += each ? 1 : 0;
      batcher.completeStep(step.logits.map((rows) => rows.map(() => 7)));
    }
    return [taken, refused];
  }

  it('takes one token for each that runs exactly where no rule is broken', () => {
    const totals: [number, number] = [0, 0];
    fc.assert(
      fc.property(
        fc.record({
          prompts: fc.array(count(1, 5), { minLength: 1, maxLength: 6 }),
          kvPageSize: count(1, 3),
          kvPageCount: count(11, 16),
          maxNumBatchedTokens: count(3, 16),
          oneEach: fc.array(fc.boolean(), { minLength: 15, maxLength: 30 }),
        }),
        (given) => {
          const [taken, refused] = plansOfOneEach(given);
          totals[0] += taken;
          totals[1] += refused;
        },
      ),
    );
    expect(Math.min(...totals)).toBeGreaterThan(20);
  });
});
