import { describe, expect, it } from 'vitest';
import type { SchedulerPolicy } from '../../../../src/spec/scheduler-policy.js';
import { policyContract } from '../../../../src/testing/policy/policy-contract.js';
import { simulateWorker } from '../../../../src/testing/policy/simulated-worker.js';

/** The simplest policy that keeps the contract: one sequence at a time, in the order of arrival. */
const oneByOne: SchedulerPolicy = {
  specVersion: 1,
  name: 'one-by-one',
  plan(view) {
    const [first, ...others] = view.running;
    const next = first ?? view.waiting[0];
    if (next === undefined) return { run: [], preempt: [] };
    const tokens = Math.min(next.tokensLeft, view.prefillChunkTokensMax, view.maxNumBatchedTokens);
    return { run: [{ id: next.id, tokens }], preempt: others.map(({ id }) => id) };
  },
};

policyContract({ policy: oneByOne });

describe('the simulation of the policy contract', () => {
  const work = {
    kvPageCount: 4,
    kvPageSize: 16,
    microBatchCount: 1,
    maxNumBatchedTokens: 8,
    maxNumSeqs: 2,
    prefillChunkTokensMax: 8,
  };
  const short = { promptTokens: 4, outputTokens: 2 };

  it('finds a policy that starves the first sequence', () => {
    const lastFirst: SchedulerPolicy = {
      ...oneByOne,
      plan: (view) => {
        const next = [...view.waiting, ...view.running].sort((a, b) => b.id - a.id)[0];
        const preempt = view.running.filter(({ id }) => id !== next?.id).map(({ id }) => id);
        return {
          run: next === undefined ? [] : [{ id: next.id, tokens: Math.min(8, next.tokensLeft) }],
          preempt,
        };
      },
    };
    const long = { step: 0, promptTokens: 20, outputTokens: 2 };
    const arrivals = [long, ...Array.from({ length: 200 }, (_, step) => ({ step, ...short }))];
    expect(simulateWorker(oneByOne, { ...work, arrivals }).trouble).toBeUndefined();
    const { trouble } = simulateWorker(lastFirst, { ...work, arrivals });
    expect(trouble).toMatch(/^sequence 1 came at step 0 and is not finished/);
  });

  it('finds a policy that plans pages it has not', () => {
    const greedy: SchedulerPolicy = {
      ...oneByOne,
      plan: (view) => ({
        run: [...view.running, ...view.waiting].map(({ id }) => ({ id, tokens: 1 })),
        preempt: [],
      }),
    };
    const arrivals = Array.from({ length: 5 }, () => ({ step: 0, ...short }));
    const roomy = { ...work, maxNumSeqs: 8 };
    expect(simulateWorker(greedy, { ...roomy, arrivals }).trouble).toMatch(/KV pages are missing/);
  });
});
