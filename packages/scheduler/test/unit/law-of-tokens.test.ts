import { sequenceId, type SchedulerPolicy, type SequenceId } from '@megascale/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  Batcher,
  createStepOrders,
  fcfs,
  followSteps,
  type BatcherOptions,
  type SequenceRequest,
  type Step,
  type StepFollower,
  type StepPace,
} from '../../src/index.js';
import { FakeModel, fakeLayerCount } from '../support/fake-model.js';
import { capriciousPolicy } from '../support/capricious-policy.js';

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
  /**
   * Steps that are abandoned, by attempt: as they begin to sample or, if true, after their first
   * micro-batch.
   */
  readonly abandoned: ReadonlyMap<number, boolean>;
  readonly overlap: boolean;
  /**
   * m, where steps fit in fewer micro-batches, and what a micro-batch takes: by attempt, in turn.
   */
  readonly paces: readonly StepPace[];
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
  prefixSharing: fc.boolean(),
  microBatchCount: count(1, 4),
  tokensPerMicroBatchMax: count(1, 9),
  maxNumBatchedTokens: count(1, 40),
  prefillChunkTokensMax: count(1, 12),
  maxNumSeqs: count(1, 6),
  maxQueuedRequests: fc.constant(20),
  positionsMax: fc.constant(100),
});

const tokens = (minLength: number, maxLength: number) =>
  fc.array(count(0, vocabSize - 1), { minLength, maxLength, size: 'max' });

/** Half of them begin alike. */
const prompts = fc.oneof(
  tokens(1, promptTokensMax),
  fc.tuple(count(1, promptTokensMax - 1), tokens(1, 3)).map(([shared, own]) =>
    Array.from({ length: shared }, (_, place) => place + 1)
      .concat(own)
      .slice(0, promptTokensMax),
  ),
);

const arrival = fc.record({
  prompt: prompts,
  maxTokens: count(1, outputTokensMax),
  atStep: count(0, 12),
  leavesAfter: fc.option(count(0, 12), { nil: undefined, freq: 4 }),
  leavesMidStep: fc.boolean(),
});

const scenarios: fc.Arbitrary<Scenario> = fc.record({
  options: fc.tuple(pools, limits).map(([pool, rest]) => ({ ...pool, ...rest })),
  arrivals: fc.array(arrival, { maxLength: 8, size: 'max' }),
  abandoned: fc
    .array(fc.tuple(count(0, 30), fc.boolean()), { maxLength: 3 })
    .map((steps) => new Map(steps)),
  overlap: fc.boolean(),
  paces: fc.array(
    fc
      .record({ microBatchCount: count(1, 4), contextTokenUs: count(0, 2) })
      .map(({ microBatchCount, contextTokenUs }): StepPace => ({
        microBatchCount,
        attentionCost: { fixedUs: 5, tokenUs: 1, contextTokenUs },
      })),
    { maxLength: 5 },
  ),
});

interface Result {
  readonly outputs: readonly number[][];
  readonly reasons: readonly (string | undefined)[];
  readonly batcher: Batcher;
  readonly model: FakeModel;
  /** Steps that began before the one before had sampled. */
  readonly overlaps: number;
}

class Abandoned extends Error {}

/** Runs a scenario to its end, checking on the way what every step must keep. */
function play(scenario: Scenario, policy: SchedulerPolicy): Result {
  const { arrivals, options, abandoned } = scenario;
  const batcher = new Batcher({ ...options, policy });
  const model = new FakeModel({ vocabSize, ...options });
  const outputs: number[][] = arrivals.map(() => []);
  const reasons: (string | undefined)[] = arrivals.map(() => undefined);
  const attempts = new Map<Step, number>();
  let overlaps = 0;
  let attempt = -1;
  const end = (id: SequenceId, reason: string) => {
    expect(reasons[id], 'a sequence ends once').toBeUndefined();
    reasons[id] = reason;
  };
  const leave = (midStep: boolean) => {
    for (const [index, { atStep, leavesAfter, leavesMidStep }] of arrivals.entries()) {
      if (leavesAfter === undefined || atStep + leavesAfter !== attempt) continue;
      if (leavesMidStep !== midStep) continue;
      const finished = batcher.cancel(sequenceId(index));
      if (finished !== undefined) end(finished.history.request.id, finished.reason);
    }
  };
  const next = (): Step | undefined => {
    attempt += 1;
    expect(attempt, 'every sequence ends').toBeLessThan(3000);
    for (const [index, arrival] of arrivals.entries()) {
      if (arrival.atStep === attempt) batcher.add(requestOf(index, arrival));
    }
    leave(false);
    setPace(batcher, scenario, attempt);
    const step = batcher.planStep(attempt);
    if (step === undefined) return undefined;
    attempts.set(step, attempt);
    if (step.overlapsPrevious) overlaps += 1;
    expectWithinLimits(step, scenario);
    return step;
  };
  let sampled: number[] = [];
  const follower: StepFollower<Step> = {
    orderOf: createStepOrders(fakeLayerCount),
    overlap: scenario.overlap,
    begin: () => undefined,
    startMicroBatch(step, microBatch) {
      batcher.startMicroBatch(microBatch);
      model.embed(step, microBatch);
    },
    perform(step, action) {
      sampled = model.perform(step, action) ?? [];
    },
    endMicroBatch(step, microBatch) {
      if (microBatch === 0) leave(true);
      const givenUp = abandoned.get(attempts.get(step) ?? -1);
      if (givenUp === microBatch > 0) throw new Abandoned();
      const { emitted, finished } = batcher.completeMicroBatch(sampled);
      for (const { id, tokenId } of emitted) {
        expect(reasons[id], 'no token after the end').toBeUndefined();
        outputs[id]?.push(tokenId);
      }
      for (const { history, reason } of finished) end(history.request.id, reason);
    },
    end: () => undefined,
    next,
  };
  while (attempt < 12 || batcher.hasWork) {
    const first = next();
    if (first === undefined) continue;
    try {
      followSteps(first, follower);
    } catch (error) {
      if (!(error instanceof Abandoned)) throw error;
      batcher.abandonStep();
    }
  }
  return { outputs, reasons, batcher, model, overlaps };
}

/** What there are slots for is kept. */
function setPace(batcher: Batcher, { options, paces }: Scenario, attempt: number): void {
  const pace = paces[attempt % Math.max(1, paces.length)];
  if (pace === undefined) return;
  const { microBatchCount, tokensPerMicroBatchMax } = options;
  const tokensMax = Math.min(
    options.maxNumBatchedTokens ?? Infinity,
    microBatchCount * tokensPerMicroBatchMax,
  );
  const least = Math.ceil(tokensMax / tokensPerMicroBatchMax);
  const fitting = Math.min(microBatchCount, Math.max(least, pace.microBatchCount));
  batcher.setPace({ ...pace, microBatchCount: fitting });
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
  it('with fcfs', () => {
    fc.assert(
      fc.property(scenarios, (scenario) => {
        expectLaw(scenario, play(scenario, fcfs));
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
        const lost = new Batcher({ ...options, policy: fcfs });
        for (const [index, arrival] of arrivals.entries()) lost.add(requestOf(index, arrival));
        runSteps(lost, model(), lostAfter, outputs);

        const survivor = new Batcher({ ...options, policy: fcfs, maxQueuedRequests: 1 });
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

  it('and the scenarios do preempt, cut chunks, share, overlap, abandon and abort', () => {
    const seen = { preempted: 0, chunked: 0, aborted: 0, abandoned: 0, overlapped: 0, shared: 0 };
    for (const scenario of fc.sample(scenarios, { numRuns: 200, seed: 1 })) {
      const { batcher, reasons, overlaps } = play(scenario, fcfs);
      if (overlaps > 0) seen.overlapped += 1;
      if (batcher.counts.cachedPromptTokensTotal > 0) seen.shared += 1;
      const { preemptionsTotal, stepsTotal } = batcher.counts;
      if (preemptionsTotal > 0) seen.preempted += 1;
      if (reasons.includes('abort')) seen.aborted += 1;
      if ([...scenario.abandoned.keys()].some((attempt) => attempt < stepsTotal))
        seen.abandoned += 1;
      const { prefillChunkTokensMax } = scenario.options;
      if (scenario.arrivals.some(({ prompt }) => prompt.length > prefillChunkTokensMax))
        seen.chunked += 1;
    }
    expect(Math.min(...Object.values(seen))).toBeGreaterThan(10);
  });
});
