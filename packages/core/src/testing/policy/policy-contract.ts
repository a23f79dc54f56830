import { describe, expect } from 'vitest';
import type { SchedulerPolicy, SchedulerView } from '../../spec/scheduler-policy.js';
import { contractTest, type ContractSkips } from '../contract-test.js';
import { brokenRule } from './plan-rules.js';
import { randomView } from './random-view.js';
import { SeededRandom } from '../seeded-random.js';
import { simulateWorker, type SimulatedWork } from './simulated-worker.js';

export interface PolicyContractOptions {
  readonly policy: SchedulerPolicy;
  readonly skip?: ContractSkips;
}

const viewCount = 400;
const simulationCount = 60;

/**
 * What every scheduler policy must keep, as tests: it is pure, an empty view gives an empty plan,
 * its plans break no rule (no pages it has not, each id once, all limits), it always makes progress
 * and it starves no sequence. Views and loads are random; a failure names the seed that shows it
 * again.
 */
export function policyContract({ policy, skip }: PolicyContractOptions): void {
  describe(`scheduler policy contract: ${policy.name}`, () => {
    const test = contractTest(skip);

    test('an empty view gives an empty plan', () => {
      const view = { ...randomView(new SeededRandom(1)), waiting: [], running: [] };
      expect(policy.plan(view)).toEqual({ run: [], preempt: [] });
    });

    test('the same view gives the same plan, and is not changed', () => {
      forEachSeed(viewCount, (random, seed) => {
        const view = frozen(randomView(random));
        const copy = structuredClone(view);
        expect(policy.plan(view), `seed ${seed}`).toEqual(policy.plan(copy));
      });
    });

    test('no plan breaks a rule', () => {
      forEachSeed(viewCount, (random, seed) => {
        const view = randomView(random);
        expect(brokenRule(view, policy.plan(view)), `seed ${seed}`).toBeUndefined();
      });
    });

    test('no sequence starves: every sequence finishes within a bound', () => {
      forEachSeed(simulationCount, (random, seed) => {
        const work = randomWork(random);
        const { finished, trouble } = simulateWorker(policy, work);
        expect(trouble, `seed ${seed}`).toBeUndefined();
        expect(finished, `seed ${seed}: finished sequences`).toBe(work.arrivals.length);
      });
    });
  });
}

function forEachSeed(count: number, body: (random: SeededRandom, seed: number) => void): void {
  for (let seed = 1; seed <= count; seed += 1) body(new SeededRandom(seed), seed);
}

/** Any change of it throws. */
function frozen(view: SchedulerView): SchedulerView {
  for (const list of [view.waiting, view.running]) {
    for (const entry of list) Object.freeze(entry);
    Object.freeze(list);
  }
  return Object.freeze(view);
}

/**
 * Between a trickle and a burst, over pages for a few sequences or for many; every sequence fits
 * alone.
 */
function randomWork(random: SeededRandom): SimulatedWork {
  const kvPageSize = 16;
  const kvPageCount = random.integer(4, 40);
  const tokensMax = kvPageCount * kvPageSize;
  let step = 0;
  const gapMax = random.integer(0, 12);
  const arrivals = Array.from({ length: random.integer(5, 40) }, () => {
    step += random.integer(0, gapMax);
    const promptTokens = random.integer(1, Math.min(200, tokensMax - 1));
    const outputTokens = random.integer(1, Math.min(60, tokensMax - promptTokens));
    return { step, promptTokens, outputTokens };
  });
  const maxNumBatchedTokens = random.integer(1, 64);
  return {
    kvPageCount,
    kvPageSize,
    microBatchCount: random.integer(1, 4),
    maxNumBatchedTokens,
    maxNumSeqs: random.integer(1, 16),
    prefillChunkTokensMax: random.integer(1, maxNumBatchedTokens),
    arrivals,
  };
}
