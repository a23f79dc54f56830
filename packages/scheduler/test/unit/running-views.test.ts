import {
  sequenceId,
  type PolicyError,
  type RunningView,
  type SchedulerView,
} from '@megascale/core';
import { describe, expect, it } from 'vitest';
import { Batcher, fcfs, type SequenceRequest } from '../../src/index.js';

const request = (id: number, promptTokens: number): SequenceRequest => ({
  id: sequenceId(id),
  promptTokens: Array.from({ length: promptTokens }, () => 5),
  maxTokens: 40,
  eosTokenIds: [],
  ignoreEos: true,
  arrivedAtMs: id,
  sampling: {},
  tenant: `tenant ${id}`,
});

/** Every view that a policy saw, and errors of policies, of so many steps. */
function watch(
  steps: number,
  look: (view: SchedulerView) => void,
): { batcher: Batcher; errors: PolicyError[] } {
  const errors: PolicyError[] = [];
  const batcher = new Batcher({
    policy: {
      specVersion: 1,
      name: 'looking',
      plan(view) {
        look(view);
        return fcfs.plan(view);
      },
    },
    fallbackPolicy: fcfs,
    onPolicyError: (error) => errors.push(error),
    kvPageCount: 200,
    kvPageSize: 4,
    microBatchCount: 2,
    tokensPerMicroBatchMax: 32,
    prefillChunkTokensMax: 8,
    maxNumSeqs: 40,
    maxQueuedRequests: 100,
    positionsMax: 200,
  });
  batcher.add(request(1, 3));
  batcher.add(request(2, 12));
  for (let turn = 1; turn <= steps; turn += 1) {
    const step = batcher.planStep(turn * 10);
    if (step === undefined) throw new Error('nothing to do');
    batcher.completeStep(step.logits.map((rows) => rows.map(() => 7)));
  }
  return { batcher, errors };
}

describe('what a policy sees of running sequences', () => {
  it('can be copied, and says what has been computed and sampled', () => {
    const seen: RunningView[][] = [];
    watch(3, ({ running }) => seen.push(running.map((view) => ({ ...view }))));
    const id = sequenceId(1);
    const first = { id, arrivedAtMs: 1, tenant: 'tenant 1', priority: 0, preemptions: 0 };
    expect(seen[0]).toEqual([]);
    expect(seen[1]?.[0]).toMatchObject({
      ...first,
      contextTokens: 3,
      tokensLeft: 1,
      outputTokens: 1,
      kvPages: 1,
      kvPagesFreed: 1,
      firstTokenAtMs: 10,
      lastTokenAtMs: 10,
    });
    expect(seen[1]?.[1]).toMatchObject({
      id: sequenceId(2),
      contextTokens: 8,
      tokensLeft: 4,
      outputTokens: 0,
      kvPages: 2,
      firstTokenAtMs: undefined,
      lastTokenAtMs: undefined,
    });
    expect(seen[2]?.[0]).toMatchObject({
      ...first,
      contextTokens: 4,
      tokensLeft: 1,
      outputTokens: 2,
      firstTokenAtMs: 10,
      lastTokenAtMs: 20,
    });
  });

  it('cannot be written to: the step gets the other policy’s plan', () => {
    const { batcher, errors } = watch(4, ({ running }) => {
      for (const view of running) Object.assign(view, { tokensLeft: 1_000 });
    });
    expect(errors.map(({ code }) => code)).toEqual(Array(3).fill('ERR_PLAN_INVALID'));
    expect(errors[0]?.message).toContain('tokensLeft');
    expect(batcher.counts).toMatchObject({ running: 2, outputTokensTotal: 4 + 3 });
  });

  it('is another sequence once a batch slot has another', () => {
    const ids = new Set<number>();
    const { batcher } = watch(2, ({ running }) => {
      for (const { id } of running) ids.add(id);
    });
    batcher.cancel(sequenceId(1));
    batcher.add(request(3, 5));
    for (let turn = 0; turn < 2; turn += 1) {
      const step = batcher.planStep(100);
      batcher.completeStep((step?.logits ?? []).map((rows) => rows.map(() => 7)));
    }
    expect([...ids]).toEqual([1, 2, 3]);
  });

  it('is there for more sequences than there were batch slots at first', () => {
    const { batcher } = watch(1, () => undefined);
    for (let id = 3; id < 40; id += 1) batcher.add(request(id, 2));
    for (let turn = 0; turn < 4; turn += 1) {
      const step = batcher.planStep(100);
      const logits = step?.logits ?? [];
      batcher.completeStep(
        logits.map((rows) => rows.map(({ history }) => 100 + history.request.id)),
      );
    }
    expect(batcher.counts.running).toBe(39);
    for (const { history } of batcher.sequences()) {
      const { id } = history.request;
      if (id > 2)
        expect(history.tokens.slice(2)).toEqual(history.tokens.slice(2).map(() => 100 + id));
      expect(history.tokens.length).toBeGreaterThan(history.promptTokenCount);
    }
  });
});
