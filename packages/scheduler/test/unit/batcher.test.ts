import { sequenceId, type SchedulerPolicy, type SequenceId } from '@megascale/core';
import { describe, expect, it } from 'vitest';
import {
  Batcher,
  fcfs,
  positionOfLogits,
  type BatcherOptions,
  type SequenceRequest,
  type Step,
  type StepOutcome,
} from '../../src/index.js';

const batcherOf = (changes: Partial<BatcherOptions> = {}) =>
  new Batcher({
    policy: fcfs,
    kvPageCount: 8,
    kvPageSize: 4,
    microBatchCount: 2,
    tokensPerMicroBatchMax: 8,
    prefillChunkTokensMax: 8,
    maxNumSeqs: 4,
    maxQueuedRequests: 2,
    positionsMax: 64,
    ...changes,
  });

const request = (id: number, changes: Partial<SequenceRequest> = {}): SequenceRequest => ({
  id: sequenceId(id),
  promptTokens: [1, 2, 3],
  maxTokens: 4,
  eosTokenIds: [0],
  ignoreEos: false,
  arrivedAtMs: id,
  sampling: {},
  ...changes,
});

function plan(batcher: Batcher): Step {
  const step = batcher.planStep(0);
  if (step === undefined) throw new Error('nothing to do');
  return step;
}

/** Executes one step; every sampled token is `token`. */
function step(batcher: Batcher, token = 9): StepOutcome {
  return batcher.completeStep(plan(batcher).logits.map((rows) => rows.map(() => token)));
}

const withCode = (code: string) => expect.objectContaining({ code }) as Error;
const preempting = (victims: () => readonly SequenceId[]): SchedulerPolicy => ({
  specVersion: 1,
  name: 'preempting',
  plan: (view) => {
    const preempt = victims();
    const run = fcfs.plan(view).run.filter(({ id }) => !preempt.includes(id));
    return { run, preempt };
  },
});

describe('admission to a batcher', () => {
  it('refuses what could never fit in the KV pool or the context', () => {
    const batcher = batcherOf();
    expect(batcher.sequenceTokensMax).toBe(32);
    expect(() => {
      batcher.add(request(1, { maxTokens: 30 }));
    }).toThrow(withCode('ERR_CONTEXT_LENGTH'));
    expect(batcher.hasWork).toBe(false);
    batcher.add(request(1, { maxTokens: 29 }));
    expect(batcherOf({ positionsMax: 10 }).sequenceTokensMax).toBe(10);
  });

  it('refuses newcomers beyond maxQueuedRequests, but not those that were admitted before', () => {
    const batcher = batcherOf({ maxQueuedRequests: 1 });
    batcher.add(request(1));
    expect(() => {
      batcher.add(request(2));
    }).toThrow(withCode('ERR_QUEUE_FULL'));
    batcher.resume(request(3));
    expect(plan(batcher).plan.run.map(({ id }) => id)).toEqual([3, 1]);
    batcher.add(request(2));
    expect(batcher.counts).toMatchObject({ waiting: 1, running: 2 });
  });

  it.each([
    { name: 'an empty prompt', changes: { promptTokens: [] } },
    { name: 'no output', changes: { maxTokens: 0 } },
    { name: 'half a token', changes: { maxTokens: 1.5 } },
    { name: 'output that is complete', changes: { outputTokens: [1, 2, 3, 4] } },
    { name: 'an id that is here', changes: { id: sequenceId(1) } },
  ])('refuses $name', ({ changes }) => {
    const batcher = batcherOf();
    batcher.add(request(1));
    expect(() => {
      batcher.add(request(2, changes));
    }).toThrow(withCode('ERR_REQUEST_INVALID'));
    expect(batcher.counts.waiting).toBe(1);
  });

  it.each(['kvPageCount', 'microBatchCount', 'prefillChunkTokensMax', 'maxNumSeqs'])(
    'names the option %s when it is no count',
    (field) => {
      expect(() => batcherOf({ [field]: 0 })).toThrow(
        expect.objectContaining({
          code: 'ERR_CONFIG_FIELD',
          details: { field, found: 0, expected: 'integer ≥ 1' },
        }),
      );
    },
  );
});

describe('a step of a batcher', () => {
  it('is undefined when there is nothing to do', () => {
    expect(batcherOf().planStep(0)).toBeUndefined();
  });

  it('emits a token only once the whole prompt is computed', () => {
    const batcher = batcherOf({ prefillChunkTokensMax: 2 });
    batcher.add(request(1));
    expect(step(batcher).emitted).toEqual([]);
    expect(step(batcher, 5).emitted).toEqual([{ id: 1, tokenId: 5, microBatch: 0, row: 0 }]);
    expect(batcher.counts).toMatchObject({ promptTokensTotal: 3, outputTokensTotal: 1 });
  });

  it('ends a sequence at maxTokens or at an end-of-sequence token, and gives its pages back', () => {
    const batcher = batcherOf();
    batcher.add(request(1, { maxTokens: 1 }));
    batcher.add(request(2));
    const { emitted, finished } = step(batcher);
    expect(emitted.map(({ id, finishReason }) => [id, finishReason])).toEqual([
      [1, 'length'],
      [2, undefined],
    ]);
    expect(finished.map(({ history, reason }) => [history.request.id, reason])).toEqual([
      [1, 'length'],
    ]);
    expect(step(batcher, 0).emitted).toMatchObject([{ id: 2, tokenId: 0, finishReason: 'stop' }]);
    expect(batcher.counts).toMatchObject({ running: 0, kvPagesFree: 8, stepsTotal: 2 });
  });

  it('must be completed before the next one is planned', () => {
    const batcher = batcherOf();
    batcher.add(request(1));
    expect(() => batcher.completeStep([])).toThrow('No step is in flight');
    plan(batcher);
    expect(() => batcher.planStep(0)).toThrow('A step is in flight');
  });

  it('is not completed by missing or impossible tokens, and can be completed after that', () => {
    const batcher = batcherOf();
    batcher.add(request(1));
    plan(batcher);
    // The prompt is cut in two; its last token is in micro-batch 1.
    for (const sampled of [[], [[], []], [[], [-1]], [[], [0.5]]]) {
      expect(() => batcher.completeStep(sampled)).toThrow(/needs a token id/);
    }
    expect(batcher.completeStep([[], [7]]).emitted).toHaveLength(1);
  });

  it('is planned again, over the same pages, after it was abandoned', () => {
    const batcher = batcherOf();
    batcher.add(request(1));
    const lost = plan(batcher);
    batcher.abandonStep();
    expect(plan(batcher).microBatches).toEqual(lost.microBatches);
    expect(batcher.counts.stepsTotal).toBe(0);
  });

  it('changes nothing when the policy breaks a rule', () => {
    let good = false;
    const policy: SchedulerPolicy = {
      specVersion: 1,
      name: 'sometimes-bad',
      plan: (view) => (good ? fcfs.plan(view) : { run: [], preempt: [] }),
    };
    const batcher = batcherOf({ policy });
    batcher.add(request(1));
    const before = batcher.counts;
    expect(() => batcher.planStep(0)).toThrow(withCode('ERR_PLAN_INVALID'));
    expect(batcher.counts).toEqual(before);
    good = true;
    expect(plan(batcher).plan.run).toEqual([{ id: 1, tokens: 3 }]);
  });
});

describe('preemption', () => {
  it.each([{ order: [3, 2] }, { order: [2, 3] }])(
    'of $order puts them back before all newcomers, in the order of admission',
    ({ order }) => {
      let victims: SequenceId[] = [];
      const batcher = batcherOf({ policy: preempting(() => victims), maxNumSeqs: 3 });
      for (const id of [1, 2]) batcher.add(request(id));
      step(batcher);
      batcher.add(request(3));
      step(batcher);
      for (const id of [4, 5]) batcher.add(request(id));
      victims = order.map(sequenceId);
      step(batcher);
      victims = [];
      expect(plan(batcher).plan.run.map(({ id }) => id)).toEqual([1, 2, 3]);
      expect(batcher.counts).toMatchObject({ preemptionsTotal: 2, waiting: 2 });
    },
  );

  it('computes prompt and output again and emits neither twice', () => {
    let victims: SequenceId[] = [];
    const batcher = batcherOf({ policy: preempting(() => victims) });
    batcher.add(request(1, { promptLogits: true }));
    batcher.add(request(2));
    const first = plan(batcher);
    expect(
      first.logits
        .flat()
        .map(({ type }) => type)
        .sort(),
    ).toEqual([...['prompt', 'prompt', 'sample', 'sample']]);
    batcher.completeStep(first.logits.map((rows) => rows.map(() => 8)));
    victims = [sequenceId(1)];
    step(batcher);
    victims = [];
    const again = plan(batcher);
    expect(again.plan.run).toEqual([
      { id: 2, tokens: 1 },
      { id: 1, tokens: 4 },
    ]);
    const rows = again.microBatches.flatMap((batch, index) =>
      (again.logits[index] ?? []).map(({ type }, row) => [type, positionOfLogits(batch, row)]),
    );
    expect(rows).toEqual([
      ...[
        ['sample', 4],
        ['sample', 3],
      ],
    ]);
    const { emitted } = batcher.completeStep(again.logits.map((rows) => rows.map(() => 8)));
    expect(emitted.map(({ id }) => id).sort()).toEqual([1, 2]);
    expect(batcher.counts).toMatchObject({ promptTokensTotal: 6, outputTokensTotal: 5 });
  });
});

describe('cancelling', () => {
  it('ends a waiting or a running sequence once, with the reason given', () => {
    const batcher = batcherOf();
    batcher.add(request(1));
    step(batcher);
    batcher.add(request(2));
    expect(batcher.cancel(sequenceId(2))).toMatchObject({ state: 'finished', reason: 'abort' });
    expect(batcher.cancel(sequenceId(1), 'stop')).toMatchObject({ reason: 'stop' });
    expect(batcher.cancel(sequenceId(1))).toBeUndefined();
    expect(batcher.counts).toMatchObject({ waiting: 0, running: 0, kvPagesFree: 8 });
  });

  it.each(['completeStep', 'abandonStep'] as const)(
    'during a step keeps the pages until %s, as they are still written to',
    (end) => {
      const batcher = batcherOf();
      batcher.add(request(1));
      const { logits } = plan(batcher);
      batcher.cancel(sequenceId(1));
      expect(batcher.counts).toMatchObject({ running: 0, kvPagesFree: 7 });
      if (end === 'abandonStep') batcher.abandonStep();
      else
        expect(batcher.completeStep(logits.map((rows) => rows.map(() => 9))).emitted).toEqual([]);
      expect(batcher.counts).toMatchObject({ kvPagesFree: 8 });
    },
  );
});

describe('the counts', () => {
  it('say what is still to compute if every sequence runs to its maxTokens', () => {
    const batcher = batcherOf();
    batcher.add(request(1));
    // 3 of the prompt and 3 of the output: the fourth is sampled but never computed.
    expect(batcher.counts.outstandingTokens).toBe(6);
    step(batcher);
    expect(batcher.counts.outstandingTokens).toBe(3);
    batcher.add(request(2, { promptTokens: [1], maxTokens: 1 }));
    expect(batcher.counts.outstandingTokens).toBe(4);
  });

  it('list live sequences in the order of admission', () => {
    const batcher = batcherOf({ maxNumSeqs: 1 });
    for (const id of [5, 3]) batcher.add(request(id));
    step(batcher);
    expect(batcher.sequences().map(({ history, state }) => [history.request.id, state])).toEqual([
      [5, 'running'],
      [3, 'waiting'],
    ]);
  });
});
