import { attentionRank, type StepCost } from '@megascale/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BoundedQueue,
  chooseAttentionWorker,
  keysSeenBy,
  predictAttentionTimes,
  PrefixHints,
  type AttentionWorkerLoad,
  type Newcomer,
} from '../../src/index.js';

const load = (rank: number, outstandingTokens: number) => ({
  rank: attentionRank(rank),
  outstandingTokens,
});

describe('the choice of an attention worker', () => {
  it('takes the one with the fewest outstanding tokens', () => {
    expect(chooseAttentionWorker([load(0, 30), load(1, 10), load(2, 20)])).toBe(1);
  });

  it('takes the lowest rank among equals, whatever the order of the list', () => {
    expect(chooseAttentionWorker([load(2, 5), load(1, 5), load(3, 5)])).toBe(1);
  });

  it('takes none when there is none', () => {
    expect(chooseAttentionWorker([])).toBeUndefined();
  });
});

const whole = (min: number, max: number) => fc.integer({ min, max });
const costs: fc.Arbitrary<StepCost> = fc.record({
  fixedUs: whole(0, 500),
  tokenUs: whole(1, 50),
  contextTokenUs: whole(0, 20).map((tenths) => tenths / 10),
});
const newcomers = fc.record({ promptTokens: whole(1, 2000), maxTokens: whole(1, 500) });

/** Places one after the other, and says what each worker then has. */
function placeAll(
  arriving: readonly Newcomer[],
  workers: readonly (StepCost | undefined)[],
): AttentionWorkerLoad[] {
  const loads = workers.map((cost, rank) => ({ ...load(rank, 0), outstandingKeys: 0, cost }));
  for (const newcomer of arriving) {
    const chosen = loads.find(({ rank }) => rank === chooseAttentionWorker(loads, newcomer));
    if (chosen === undefined) throw new Error('Nobody was chosen.');
    const tokens = newcomer.promptTokens + newcomer.maxTokens;
    chosen.outstandingTokens += tokens;
    chosen.outstandingKeys += keysSeenBy(0, tokens);
  }
  return loads;
}

const nothing = { promptTokens: 0, maxTokens: 0 };

describe('sequences that are placed by predicted attention time', () => {
  it('go where the long contexts are not, although tokens are equal', () => {
    const cost = { fixedUs: 100, tokenUs: 1, contextTokenUs: 1 };
    const long = { ...load(0, 100), outstandingKeys: 50_000, cost };
    const short = { ...load(1, 100), outstandingKeys: 5_000, cost };
    expect(chooseAttentionWorker([long, short], nothing)).toBe(1);
  });

  it('go to a worker of half the speed half as often', () => {
    const cost = { fixedUs: 80, tokenUs: 10, contextTokenUs: 0.1 };
    const slow = { fixedUs: 160, tokenUs: 20, contextTokenUs: 0.2 };
    const arriving = Array.from({ length: 90 }, () => ({ promptTokens: 20, maxTokens: 10 }));
    const [quick, slower] = placeAll(arriving, [cost, slow]);
    expect([quick?.outstandingTokens, slower?.outstandingTokens]).toEqual([60 * 30, 30 * 30]);
  });

  it('go where their prefix is, unless the others have so much less to do', () => {
    const cost = { fixedUs: 0, tokenUs: 10, contextTokenUs: 0 };
    const at = (outstandingTokens: number) => [
      { ...load(0, outstandingTokens), cost, sharedTokens: 64 },
      { ...load(1, 0), cost },
    ];
    const newcomer = { promptTokens: 70, maxTokens: 10 };
    expect(chooseAttentionWorker(at(63), newcomer)).toBe(0);
    expect(chooseAttentionWorker(at(65), newcomer)).toBe(1);
  });

  it('leave no worker further behind than by one sequence (Graham)', () => {
    fc.assert(
      fc.property(
        fc.array(newcomers, { minLength: 1, maxLength: 60 }),
        whole(1, 5),
        fc.option(costs, { nil: undefined }),
        (arriving, workers, cost) => {
          const loads = placeAll(arriving, new Array(workers).fill(cost));
          const times = predictAttentionTimes(loads, nothing);
          const alone = arriving.map((one) =>
            Math.max(...predictAttentionTimes([{ ...load(0, 0), cost }], one)),
          );
          // The shape is learnt from loads: with one cost for all it does not change.
          const mean = times.reduce((sum, us) => sum + us, 0) / workers;
          expect(Math.max(...times)).toBeLessThanOrEqual((mean + Math.max(...alone)) * 1.000001);
        },
      ),
    );
  });

  it('do not depend on the unit of time, nor on what nobody measured', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(whole(0, 5000), fc.option(costs, { nil: undefined })), {
          minLength: 1,
          maxLength: 5,
        }),
        newcomers,
        (workers, newcomer) => {
          const scaled = (factor: number) =>
            workers.map(([tokens, cost], rank) => ({
              ...load(rank, tokens),
              outstandingKeys: tokens * 8,
              cost: cost && {
                fixedUs: cost.fixedUs * factor,
                tokenUs: cost.tokenUs * factor,
                contextTokenUs: cost.contextTokenUs * factor,
              },
            }));
          const chosen = chooseAttentionWorker(scaled(1), newcomer);
          expect(chooseAttentionWorker(scaled(1024), newcomer)).toBe(chosen);
          const bare = workers.map(([tokens], rank) => load(rank, tokens));
          const fewest = Math.min(...workers.map(([tokens]) => tokens));
          expect(workers[chooseAttentionWorker(bare, newcomer) ?? -1]?.[0]).toBe(fewest);
        },
      ),
    );
  });
});

describe('hints of prefixes', () => {
  it('name the full pages that a worker was given, and always leave a token', () => {
    const hints = new PrefixHints({ workers: 2, pageSize: 4, pagesMax: 100 });
    const prompt = Array.from({ length: 12 }, (_, place) => place);
    expect(hints.sharedTokens(prompt)).toEqual([0, 0]);
    hints.note(1, prompt);
    expect(hints.sharedTokens(prompt)).toEqual([0, 8]);
    expect(hints.sharedTokens([...prompt, 99])).toEqual([0, 8]);
    expect(hints.sharedTokens([...prompt.slice(0, 6), 99, 98, 97])).toEqual([0, 4]);
    expect(hints.sharedTokens([99, ...prompt])).toEqual([0, 0]);
    expect(hints.sharedTokens([])).toEqual([0, 0]);
  });

  it('forget the oldest beyond their bound', () => {
    const hints = new PrefixHints({ workers: 1, pageSize: 2, pagesMax: 3 });
    for (const first of [10, 20, 30, 40]) hints.note(0, [first, first + 1, 0]);
    expect([10, 20, 30, 40].map((first) => hints.sharedTokens([first, first + 1, 0])[0])).toEqual([
      ...[0, 2, 2, 2],
    ]);
  });
});

describe('a bounded queue', () => {
  it('gives back in the order it took', () => {
    const queue = new BoundedQueue<string>('maxQueuedRequests', 3);
    for (const item of ['a', 'b', 'c']) queue.push(item);
    expect(queue.remove('b')).toBe(true);
    expect(queue.remove('b')).toBe(false);
    expect([...queue]).toEqual(['a', 'c']);
    expect([queue.shift(), queue.shift(), queue.shift()]).toEqual(['a', 'c', undefined]);
  });

  it('refuses what exceeds its limit, by name, and keeps what it has', () => {
    const queue = new BoundedQueue<string>('maxQueuedRequests', 1);
    queue.push('a');
    expect(() => {
      queue.push('b');
    }).toThrow(
      expect.objectContaining({
        code: 'ERR_QUEUE_FULL',
        details: { limitName: 'maxQueuedRequests', max: 1 },
      }),
    );
    expect([...queue]).toEqual(['a']);
  });
});
