import { sequenceId } from '@megascale/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Batcher, fcfs, PagePool, PrefixTree, type BatcherOptions } from '../../src/index.js';
import { FakeModel } from '../support/fake-model.js';

const kvPageSize = 16;
const options: BatcherOptions = {
  policy: fcfs,
  kvPageCount: 4096,
  kvPageSize,
  microBatchCount: 2,
  tokensPerMicroBatchMax: 512,
  prefillChunkTokensMax: 256,
  maxNumSeqs: 256,
  maxQueuedRequests: 1000,
  positionsMax: 4096,
};

const request = (id: number, promptTokens: readonly number[], maxTokens = 4) => ({
  id: sequenceId(id),
  promptTokens,
  maxTokens,
  eosTokenIds: [],
  ignoreEos: true,
  arrivedAtMs: 0,
  sampling: {},
});

const ascending = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i);

/** Runs everything that is there; every sampled token is 7. Returns the tokens of each step. */
function finish(batcher: Batcher): number[] {
  const sizes: number[] = [];
  for (let step = batcher.planStep(0); step !== undefined; step = batcher.planStep(0)) {
    sizes.push(step.microBatches.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0));
    batcher.completeStep(step.logits.map((rows) => rows.map(() => 7)));
  }
  return sizes;
}

describe('sequences that begin alike', () => {
  it('compute 64 times a common prompt of 1,024 tokens once, though all come at once', () => {
    const batcher = new Batcher(options);
    const tail = (id: number) => [900_000 + id, 900_100 + id];
    for (const id of ascending(64)) batcher.add(request(id, [...ascending(1024), ...tail(id)]));
    finish(batcher);
    const { computedTokensTotal, promptTokensTotal, outputTokensTotal, cachedPromptTokensTotal } =
      batcher.counts;
    expect(promptTokensTotal).toBe(64 * 1026);
    // Of the output, all but each last token is computed too.
    const prefill = computedTokensTotal - (outputTokensTotal - 64);
    expect(prefill).toBe(1024 + 64 * 2);
    expect(cachedPromptTokensTotal).toBe(63 * 1024);
  });

  it('compute everything where sharing is off', () => {
    const batcher = new Batcher({ ...options, prefixSharing: false });
    for (const id of ascending(4)) batcher.add(request(id, ascending(100)));
    finish(batcher);
    expect(batcher.counts).toMatchObject({ cachedPromptTokensTotal: 0, kvPagesCached: 0 });
    expect(batcher.counts.computedTokensTotal).toBe(4 * 103);
  });

  it('compute the last token of a prompt that is wholly there: its logits are wanted', () => {
    const batcher = new Batcher(options);
    batcher.add(request(1, ascending(32)));
    finish(batcher);
    batcher.add(request(2, ascending(32)));
    expect(finish(batcher)[0]).toBe(16);
    expect(batcher.counts.cachedPromptTokensTotal).toBe(16);
  });

  it('go on where an answer ended, when it comes back as part of a prompt', () => {
    const batcher = new Batcher(options);
    batcher.add(request(1, ascending(30), 40));
    finish(batcher);
    const conversation = [...ascending(30), ...ascending(40).map(() => 7), 1, 2, 3];
    batcher.add(request(2, conversation));
    // 69 tokens are in pages, 64 of them in full ones.
    expect(finish(batcher)[0]).toBe(73 - 64);
  });

  it('take nothing over for log-probabilities of the prompt, which need every row', () => {
    const batcher = new Batcher(options);
    batcher.add(request(1, ascending(64)));
    finish(batcher);
    batcher.add({ ...request(2, ascending(64)), promptLogits: true });
    expect(finish(batcher)[0]).toBe(64);
  });

  it('do not wait for one that was cancelled', () => {
    const batcher = new Batcher({ ...options, prefillChunkTokensMax: 16 });
    for (const id of [1, 2]) batcher.add(request(id, ascending(64)));
    const first = batcher.planStep(0);
    expect(first?.plan.run.map(({ id }) => id)).toEqual([1]);
    batcher.cancel(sequenceId(1));
    batcher.completeStep([[], []]);
    expect(batcher.planStep(0)?.plan.run.map(({ id }) => id)).toEqual([2]);
  });

  it('give pages up to others before anybody is preempted', () => {
    const batcher = new Batcher({ ...options, kvPageCount: 8 });
    batcher.add(request(1, ascending(100)));
    finish(batcher);
    expect(batcher.counts).toMatchObject({ kvPagesFree: 8, kvPagesCached: 6 });
    batcher.add(request(2, ascending(100, 5000)));
    finish(batcher);
    expect(batcher.counts).toMatchObject({ kvPagesFree: 8, preemptionsTotal: 0 });
    // Of the first one only what the second did not need is left, from the front.
    batcher.add(request(3, ascending(100)));
    expect(finish(batcher)[0]).toBe(100 - 16);
  });

  it('come back onto their own pages after a preemption', () => {
    const victims: number[] = [];
    const policy = {
      ...fcfs,
      plan: (view: Parameters<typeof fcfs.plan>[0]) => {
        const preempt = victims.splice(0).map(sequenceId);
        const { run } = fcfs.plan(view);
        return { run: run.filter(({ id }) => !preempt.includes(id)), preempt };
      },
    };
    const batcher = new Batcher({ ...options, policy });
    for (const id of [1, 2]) batcher.add(request(id, ascending(64, 1000 * id), 8));
    const step = () => {
      const planned = batcher.planStep(0);
      batcher.completeStep(planned?.logits.map((rows) => rows.map(() => 7)) ?? []);
      return planned?.plan.run;
    };
    step();
    victims.push(1);
    step();
    expect(step()).toEqual([
      { id: 2, tokens: 1 },
      { id: 1, tokens: 1 },
    ]);
  });
});

describe('the tokens of sequences that share', () => {
  it('are those of a model that reads its own pages', () => {
    const vocabSize = 61;
    const shared = ascending(23).map((token) => token % vocabSize);
    const count = (min: number, max: number) => fc.integer({ min, max });
    const sizes = fc.record({ kvPageSize: count(2, 6), chunk: count(1, 16), running: count(1, 5) });
    const tails = fc.array(fc.array(count(0, 60), { maxLength: 4 }), {
      minLength: 1,
      maxLength: 6,
    });
    fc.assert(
      fc.property(sizes, tails, (size, ends) => {
        const pool = {
          kvPageSize: size.kvPageSize,
          kvPageCount: Math.ceil(40 / size.kvPageSize) + 2,
        };
        const model = new FakeModel({ vocabSize, ...pool });
        const batcher = new Batcher({
          ...options,
          ...pool,
          prefillChunkTokensMax: size.chunk,
          maxNumSeqs: size.running,
        });
        const prompts = ends.map((end, index) => [...shared.slice(0, 23 - (index % 3)), ...end]);
        const outputs = prompts.map((): number[] => []);
        for (const [id, prompt] of prompts.entries()) batcher.add(request(id, prompt, 9));
        for (let step = batcher.planStep(0); step !== undefined; step = batcher.planStep(0)) {
          for (const { id, tokenId } of batcher.completeStep(model.run(step)).emitted) {
            outputs[id]?.push(tokenId);
          }
        }
        expect(outputs).toEqual(prompts.map((prompt) => model.expectedOutput(prompt, 9, [])));
        expect(batcher.counts.kvPagesFree).toBe(pool.kvPageCount);
      }),
    );
  });
});

describe('the page pool, with pages that are worth keeping', () => {
  it('takes kept pages last, the one that waited longest first, and says so', () => {
    const lost: number[] = [];
    const pool = new PagePool(3, (page) => lost.push(page));
    const pages = [pool.allocate(), pool.allocate(), pool.allocate()];
    pages.slice(0, 2).forEach((page) => {
      pool.keep(page);
    });
    pool.free(pages);
    expect(pool).toMatchObject({ freeCount: 3, keptFreeCount: 2 });
    // The last page of a sequence is lost before those it stands on.
    expect([pool.allocate(), pool.allocate(), pool.allocate()]).toEqual([2, 1, 0]);
    expect(lost).toEqual([1, 0]);
  });

  it('lets several hold a page, and has it back after the last', () => {
    const pool = new PagePool(2);
    const page = pool.allocate();
    pool.keep(page);
    pool.hold(page);
    pool.free([page]);
    expect(pool).toMatchObject({ freeCount: 1, keptFreeCount: 0 });
    pool.free([page]);
    pool.hold(page);
    expect(pool.freeCount).toBe(1);
    expect(() => {
      pool.hold(pool.allocate());
      pool.free([page, page]);
    }).toThrow(/not all were taken/);
  });
});

describe('the prefix tree', () => {
  it('compares tokens, not only their hashes', () => {
    const tree = new PrefixTree(1);
    const pool = new PagePool(4);
    tree.hash = () => 1;
    const first = tree.childOrAdded(tree.root, [5], 0, pool.allocate());
    expect(first).toBeDefined();
    expect(tree.match([5, 6], 2)).toEqual([first]);
    expect(tree.match([6], 1)).toEqual([]);
    expect(tree.childOrAdded(tree.root, [6], 0, pool.allocate())).toBeUndefined();
  });
});
