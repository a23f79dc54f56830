import { sequenceId, type SchedulerPolicy, type SequenceId } from '@megascale/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  Batcher,
  firstCome,
  type BatcherOptions,
  type SequenceRequest,
  type Step,
} from '../src/index.js';
import { FakeModel } from './fake-model.js';
import { capriciousPolicy } from './capricious-policy.js';

const vocabSize = 61;
const promptTokensMax = 10;
const outputTokensMax = 14;
const eosTokenIds = [0];

interface Arrival {
  readonly prompt: readonly number[];
  readonly maxTokens: number;
  /** The step before which it comes. */
  readonly atStep: number;
  /** Steps after its arrival before which the client leaves. */
  readonly leavesAfter: number | undefined;
  /** The client leaves while that step is under way, not before it. */
  readonly leavesMidStep: boolean;
}

interface Scenario {
  readonly options: Omit<BatcherOptions, 'policy'>;
  readonly arrivals: readonly Arrival[];
  /** Steps that are computed and then abandoned, by attempt. */
  readonly abandoned: ReadonlySet<number>;
}

const count = (min: number, max: number) => fc.integer({ min, max });

/** Pools that hold one longest sequence, and hardly a second one. */
const pools = fc
  .record({ kvPageSize: count(2, 5), spare: count(0, 4) })
  .map(({ kvPageSize, spare }) => ({
    kvPageSize,
    kvPageCount: Math.ceil((promptTokensMax + outputTokensMax) / kvPageSize) + spare,
  }));

const limits = fc.record({
  microBatchCount: count(1, 4),
  tokensPerMicroBatchMax: count(1, 9),
  tokensPerStepMax: count(1, 40),
  prefillChunkTokensMax: count(1, 12),
  runningMax: count(1, 6),
  waitingMax: fc.constant(20),
  positionsMax: fc.constant(100),
});

const arrival = fc.record({
  prompt: fc.array(count(0, vocabSize - 1), {
    minLength: 1,
    maxLength: promptTokensMax,
    size: 'max',
  }),
  maxTokens: count(1, outputTokensMax),
  atStep: count(0, 12),
  leavesAfter: fc.option(count(0, 12), { nil: undefined, freq: 4 }),
  leavesMidStep: fc.boolean(),
});

const scenarios: fc.Arbitrary<Scenario> = fc.record({
  options: fc.tuple(pools, limits).map(([pool, rest]) => ({ ...pool, ...rest })),
  arrivals: fc.array(arrival, { maxLength: 8, size: 'max' }),
  abandoned: fc.array(count(0, 30), { maxLength: 3 }).map((steps) => new Set(steps)),
});

interface Result {
  readonly outputs: readonly number[][];
  readonly reasons: readonly (string | undefined)[];
  readonly batcher: Batcher;
  readonly model: FakeModel;
}

/** Runs a scenario to its end, checking on the way what every step must keep. */
function play(scenario: Scenario, policy: SchedulerPolicy): Result {
  const { arrivals, options, abandoned } = scenario;
  const batcher = new Batcher({ ...options, policy });
  const model = new FakeModel({ vocabSize, ...options });
  const outputs: number[][] = arrivals.map(() => []);
  const reasons: (string | undefined)[] = arrivals.map(() => undefined);
  const end = (id: SequenceId, reason: string) => {
    expect(reasons[id], 'a sequence ends once').toBeUndefined();
    reasons[id] = reason;
  };
  const leave = (attempt: number, midStep: boolean) => {
    for (const [index, { atStep, leavesAfter, leavesMidStep }] of arrivals.entries()) {
      if (leavesAfter === undefined || atStep + leavesAfter !== attempt) continue;
      if (leavesMidStep !== midStep) continue;
      const finished = batcher.cancel(sequenceId(index));
      if (finished !== undefined) end(finished.history.request.id, finished.reason);
    }
  };
  for (let attempt = 0; attempt <= 12 || batcher.hasWork; attempt += 1) {
    expect(attempt, 'every sequence ends').toBeLessThan(3000);
    for (const [index, arrival] of arrivals.entries()) {
      if (arrival.atStep !== attempt) continue;
      batcher.add(requestOf(index, arrival));
    }
    leave(attempt, false);
    const step = batcher.planStep(attempt);
    if (step === undefined) continue;
    expectWithinLimits(step, scenario);
    const sampled = model.run(step);
    leave(attempt, true);
    if (abandoned.has(attempt)) {
      batcher.abandonStep();
      continue;
    }
    const { emitted, finished } = batcher.completeStep(sampled);
    for (const { id, tokenId } of emitted) {
      expect(reasons[id], 'no token after the end').toBeUndefined();
      outputs[id]?.push(tokenId);
    }
    for (const { history, reason } of finished) end(history.request.id, reason);
  }
  return { outputs, reasons, batcher, model };
}

function requestOf(index: number, { prompt, maxTokens, atStep }: Arrival): SequenceRequest {
  return {
    id: sequenceId(index),
    promptTokens: prompt,
    maxTokens,
    eosTokenIds,
    ignoreEos: false,
    arrivedAtMs: atStep,
    sampling: {},
  };
}

function runSteps(batcher: Batcher, model: FakeModel, steps: number, outputs: number[][]): void {
  for (let done = 0; done < steps; done += 1) {
    const step = batcher.planStep(done);
    if (step === undefined) return;
    const { emitted } = batcher.completeStep(model.run(step));
    for (const { id, tokenId } of emitted) outputs[id]?.push(tokenId);
  }
}

function expectWithinLimits(step: Step, { options }: Scenario): void {
  const sizes = step.microBatches.map(({ tokenIds }) => tokenIds.length);
  expect(Math.min(...sizes)).toBeGreaterThan(0);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(options.tokensPerMicroBatchMax);
  expect(step.microBatchIndices).toEqual(sizes.map((_, index) => index));
  expect(sizes.length).toBeLessThanOrEqual(options.microBatchCount);
}

function expectLaw(scenario: Scenario, { outputs, reasons, batcher, model }: Result): void {
  for (const [index, { prompt, maxTokens }] of scenario.arrivals.entries()) {
    const expected = model.expectedOutput(prompt, maxTokens, eosTokenIds);
    const output = outputs[index] ?? [];
    if (reasons[index] === 'abort') {
      expect(output).toEqual(expected.slice(0, output.length));
    } else {
      expect(output).toEqual(expected);
      expect(reasons[index]).toBe(expected.at(-1) === 0 ? 'stop' : 'length');
    }
  }
  const { kvPagesFree, kvPagesTotal, waiting, running, outstandingTokens } = batcher.counts;
  expect(kvPagesFree).toBe(kvPagesTotal);
  expect([waiting, running, outstandingTokens]).toEqual([0, 0, 0]);
}

describe('scheduling changes no token, emits each once and gives every page back', () => {
  it('with first-come', () => {
    fc.assert(
      fc.property(scenarios, (scenario) => {
        expectLaw(scenario, play(scenario, firstCome));
      }),
      { numRuns: 400 },
    );
  });

  it('with a policy that obeys the rules and nothing else', () => {
    fc.assert(
      fc.property(scenarios, count(1, 0x7fffffff), (scenario, seed) => {
        expectLaw(scenario, play(scenario, capriciousPolicy(seed)));
      }),
      { numRuns: 200 },
    );
  });

  it('and across a move to another worker in the middle', () => {
    fc.assert(
      fc.property(scenarios, count(1, 20), ({ options, arrivals }, lostAfter) => {
        const outputs = arrivals.map((): number[] => []);
        const model = () => new FakeModel({ vocabSize, ...options });
        const lost = new Batcher({ ...options, policy: firstCome });
        for (const [index, arrival] of arrivals.entries()) lost.add(requestOf(index, arrival));
        runSteps(lost, model(), lostAfter, outputs);

        const survivor = new Batcher({ ...options, policy: firstCome, waitingMax: 1 });
        for (const { history } of lost.sequences()) {
          const { tokens, promptTokenCount, request } = history;
          survivor.resume({ ...request, outputTokens: tokens.slice(promptTokenCount) });
        }
        runSteps(survivor, model(), Infinity, outputs);
        expect(outputs).toEqual(
          arrivals.map(({ prompt, maxTokens }) =>
            model().expectedOutput(prompt, maxTokens, eosTokenIds),
          ),
        );
        expect(survivor.counts.kvPagesFree).toBe(options.kvPageCount);
      }),
    );
  });

  it('and the scenarios do preempt, cut chunks, abandon and abort', () => {
    const seen = { preempted: 0, chunked: 0, aborted: 0, abandoned: 0 };
    for (const scenario of fc.sample(scenarios, { numRuns: 200, seed: 1 })) {
      const { batcher, reasons } = play(scenario, firstCome);
      const { preemptionsTotal, stepsTotal } = batcher.counts;
      if (preemptionsTotal > 0) seen.preempted += 1;
      if (reasons.includes('abort')) seen.aborted += 1;
      if ([...scenario.abandoned].some((attempt) => attempt < stepsTotal)) seen.abandoned += 1;
      const { prefillChunkTokensMax } = scenario.options;
      if (scenario.arrivals.some(({ prompt }) => prompt.length > prefillChunkTokensMax))
        seen.chunked += 1;
    }
    expect(Math.min(...Object.values(seen))).toBeGreaterThan(10);
  });
});
