import {
  sequenceId,
  type RunningView,
  type SchedulerView,
  type WaitingView,
} from '@megascale/core';
import { policyContract } from '@megascale/core/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  Batcher,
  fcfs,
  predictStepUs,
  prefillFirst,
  serviceOrder,
  sloAware,
  StepCostLearner,
} from '../../src/index.js';

policyContract({ policy: prefillFirst });
policyContract({ policy: sloAware({ tpotTargetMs: 20, ttftTargetMs: 200 }) });

const view = (changes: Partial<SchedulerView>): SchedulerView => ({
  nowMs: 0,
  waiting: [],
  running: [],
  kvPagesFree: 1000,
  kvPageSize: 16,
  microBatchCount: 2,
  maxNumBatchedTokens: 512,
  maxNumSeqs: 16,
  prefillChunkTokensMax: 256,
  ...changes,
});

const waits = (
  id: number,
  tokensLeft: number,
  changes: Partial<WaitingView> = {},
): WaitingView => ({
  id: sequenceId(id),
  arrivedAtMs: id,
  priority: 0,
  outputTokens: 0,
  preemptions: 0,
  tokensLeft,
  contextTokens: 0,
  kvPages: 0,
  ...changes,
});

const decodes = (id: number, changes: Partial<RunningView> = {}): RunningView => ({
  ...waits(id, 1),
  contextTokens: 31,
  kvPages: 2,
  kvPagesFreed: 2,
  ...changes,
});

const ran = ({ run }: ReturnType<typeof fcfs.plan>) => run.map(({ id, tokens }) => [id, tokens]);

describe('the order of service', () => {
  const order = (...given: Parameters<typeof serviceOrder>) =>
    serviceOrder(...given).map(({ id }) => id);

  it('is the one given without priorities and tenants', () => {
    const line = [waits(3, 1), waits(1, 1), waits(2, 1)];
    expect(serviceOrder(line)).toBe(line);
  });

  it('counts a level of priority as ten seconds of waiting, so that nobody starves', () => {
    const urgent = { priority: 1 };
    expect(order([waits(1, 1), waits(2, 1, urgent)])).toEqual([2, 1]);
    expect(order([waits(1, 1), waits(10_002, 1, urgent)])).toEqual([1, 10_002]);
    expect(order([waits(1, 1, { priority: -1 }), waits(2, 1)])).toEqual([2, 1]);
  });

  it('takes turns between tenants, those first who have least', () => {
    const of = (tenant: string) => ({ tenant });
    const line = [
      waits(1, 1, of('a')),
      waits(2, 1, of('a')),
      waits(3, 1, of('a')),
      waits(4, 1, of('b')),
    ];
    expect(order(line)).toEqual([1, 4, 2, 3]);
    expect(order(line, [decodes(9, of('a')), decodes(8, of('a'))])).toEqual([4, 1, 2, 3]);
  });

  it('keeps everybody, each once', () => {
    const tenant = fc.constantFrom('a', 'b', undefined);
    const sequence = fc.record({ priority: fc.integer({ min: -2, max: 2 }), tenant });
    fc.assert(
      fc.property(fc.array(sequence), (given) => {
        const line = given.map((changes, id) => waits(id, 1, changes));
        expect(order(line).toSorted((a, b) => a - b)).toEqual(line.map(({ id }) => id));
      }),
    );
  });
});

describe('prefill-first', () => {
  it('computes nothing but prompts while there are any', () => {
    const plan = prefillFirst.plan(
      view({ running: [decodes(1)], waiting: [waits(2, 40), waits(3, 8)] }),
    );
    expect(ran(plan)).toEqual([
      [2, 40],
      [3, 8],
    ]);
  });

  it('decodes when no prompt finds pages, or when an answer has stalled for a second', () => {
    const full = view({ running: [decodes(1)], waiting: [waits(2, 40)], kvPagesFree: 1 });
    expect(ran(prefillFirst.plan(full))).toEqual([[1, 1]]);
    const stalled = decodes(1, { lastTokenAtMs: 0 });
    const later = view({ nowMs: 1500, running: [stalled], waiting: [waits(2, 40)] });
    expect(ran(prefillFirst.plan(later))).toContainEqual([1, 1]);
  });
});

describe('slo-aware', () => {
  const policy = sloAware({ ttftTargetMs: 1000, tpotTargetMs: 10 });
  const stepCost = { fixedUs: 1000, tokenUs: 100, contextTokenUs: 0 };

  it('is fcfs while nothing is known of costs', () => {
    const given = view({ running: [decodes(1)], waiting: [waits(2, 300)] });
    expect(policy.plan(given)).toEqual(fcfs.plan(given));
  });

  it('takes as many prompt tokens as leave decoding its time', () => {
    // 10 ms: 1 fixed, 0.1 for the decoding one, 8.9 for 89 prompt tokens.
    const given = view({ stepCost, running: [decodes(1)], waiting: [waits(2, 300)] });
    expect(ran(policy.plan(given))).toEqual([
      [1, 1],
      [2, 89],
    ]);
  });

  it('takes at least a page, and all it can for a prompt that would be late', () => {
    const hopeless = decodes(1, { tpotTargetMs: 1 });
    const slow = view({ stepCost, running: [hopeless], waiting: [waits(2, 300)] });
    expect(ran(policy.plan(slow))).toContainEqual([2, 16]);
    const late = view({ nowMs: 990, stepCost, running: [decodes(1)], waiting: [waits(2, 300)] });
    expect(ran(policy.plan(late))).toContainEqual([2, 256]);
  });

  it('starts those first whose first token is due first', () => {
    const waiting = [
      waits(1, 8),
      waits(2, 8, { ttftTargetMs: 100 }),
      waits(3, 8, { preemptions: 1 }),
    ];
    expect(ran(policy.plan(view({ stepCost, waiting }))).map(([id]) => id)).toEqual([3, 2, 1]);
  });
});

describe('what a step costs', () => {
  it('is learned from steps, whatever their mix', () => {
    const learner = new StepCostLearner();
    const truth = { fixedUs: 900, tokenUs: 40, contextTokenUs: 0.05 };
    for (let step = 0; step < 60; step += 1) {
      const measured = { tokens: 1 + ((step * 37) % 200), keysSeen: (step * 911) % 50_000 };
      learner.add({ ...measured, us: predictStepUs(truth, measured) });
      expect(learner.cost === undefined).toBe(step < 15);
    }
    expect(learner.cost?.fixedUs).toBeCloseTo(900, 3);
    expect(learner.cost?.tokenUs).toBeCloseTo(40, 5);
    expect(learner.cost?.contextTokenUs).toBeCloseTo(0.05, 7);
  });

  it('has no negative part, says something for steps that are all alike, and shrugs off a pause', () => {
    const learner = new StepCostLearner();
    for (let step = 0; step < 40; step += 1) {
      learner.add({ tokens: 8, keysSeen: 800, us: step === 30 ? 1_000_000 : 2000 });
    }
    const { cost } = learner;
    expect(cost).toBeDefined();
    if (cost === undefined) return;
    expect(Math.min(cost.fixedUs, cost.tokenUs, cost.contextTokenUs)).toBeGreaterThanOrEqual(0);
    const expected = predictStepUs(cost, { tokens: 8, keysSeen: 800 });
    expect(expected).toBeGreaterThan(1999);
    expect(expected).toBeLessThan(2300);
  });
});

describe('a policy that fails', () => {
  const batcher = (plan: () => never, errors: string[]) =>
    new Batcher({
      policy: { specVersion: 1, name: 'broken', plan },
      fallbackPolicy: fcfs,
      onPolicyError: ({ code, message }) => errors.push(`${code} ${message}`),
      kvPageCount: 8,
      kvPageSize: 4,
      microBatchCount: 2,
      tokensPerMicroBatchMax: 8,
      prefillChunkTokensMax: 8,
      maxNumSeqs: 4,
      maxQueuedRequests: 2,
      positionsMax: 64,
    });

  it.each([
    {
      name: 'throws',
      plan: () => {
        throw new Error('out of ideas');
      },
      what: /out of ideas/,
    },
    {
      name: 'returns nothing',
      plan: () => undefined as never,
      what: /failed: it returned no plan/,
    },
    {
      name: 'returns half a plan',
      plan: () => ({ preempt: [] }) as never,
      what: /failed: it returned no plan, \{ run:/,
    },
    {
      name: 'returns nonsense',
      plan: () => ({ run: 7, preempt: 'x' }) as never,
      what: /ERR_PLAN_INVALID/,
    },
    {
      name: 'breaks a rule',
      plan: () => ({ run: [{ id: 99, tokens: 1 }], preempt: [] }) as never,
      what: /known-sequences/,
    },
  ])('and $name is replaced for the step, and reported', ({ plan, what }) => {
    const errors: string[] = [];
    const tested = batcher(plan, errors);
    tested.add({
      id: sequenceId(1),
      promptTokens: [1, 2, 3],
      maxTokens: 2,
      eosTokenIds: [],
      ignoreEos: true,
      arrivedAtMs: 0,
      sampling: {},
    });
    expect(tested.planStep(0)?.plan.run).toEqual([{ id: 1, tokens: 3 }]);
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatch(what);
    expect(errors[0]).toMatch(/^ERR_PLAN_INVALID Policy 'broken'/);
  });
});
