import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keysSeenBy, predictStepUs, StepCostLearner, type MeasuredStep } from '../../src/index.js';

const truth = { fixedUs: 120, tokenUs: 3, contextTokenUs: 0.02 };

/** Decoding with growing contexts, and a prefill chunk now and then. */
const loads = Array.from({ length: 200 }, (_, step): Pick<MeasuredStep, 'tokens' | 'keysSeen'> => {
  if (step % 9 === 4) return { tokens: 64, keysSeen: keysSeenBy(step, 64) };
  const tokens = 4 + (step % 5);
  return { tokens, keysSeen: tokens * (100 + step) };
});

function learn(
  usOf: (load: Pick<MeasuredStep, 'tokens' | 'keysSeen'>, step: number) => number,
  given = loads,
): StepCostLearner {
  const learner = new StepCostLearner();
  for (const [step, load] of given.entries()) learner.add({ ...load, us: usOf(load, step) });
  return learner;
}

describe('learning what a micro-batch takes', () => {
  it('counts the keys that tokens see', () => {
    expect(keysSeenBy(0, 3)).toBe(1 + 2 + 3);
    expect(keysSeenBy(10, 1)).toBe(11);
  });

  it('says nothing before it has seen enough', () => {
    expect(learn((load) => predictStepUs(truth, load), loads.slice(0, 15)).cost).toBeUndefined();
  });

  it('finds the cost that made the times', () => {
    const { cost } = learn((load) => predictStepUs(truth, load));
    expect(cost?.fixedUs).toBeCloseTo(truth.fixedUs, 0);
    expect(cost?.tokenUs).toBeCloseTo(truth.tokenUs, 1);
    expect(cost?.contextTokenUs).toBeCloseTo(truth.contextTokenUs, 3);
  });

  it('is not led astray by times that now and then are a hundred times as long', () => {
    const learner = learn(
      (load, step) => predictStepUs(truth, load) * (step % 31 === 30 ? 100 : 1),
    );
    const load = { tokens: 6, keysSeen: 1200 };
    const { cost } = learner;
    if (cost === undefined) throw new Error('Nothing was learnt.');
    expect(predictStepUs(cost, load) / predictStepUs(truth, load)).toBeCloseTo(1, 0);
  });

  it('follows a lasting change', () => {
    const learner = learn(
      (load, step) => predictStepUs(truth, load) * (step < 100 ? 1 : 3),
      [...loads, ...loads, ...loads],
    );
    const load = { tokens: 6, keysSeen: 1500 };
    const { cost } = learner;
    if (cost === undefined) throw new Error('Nothing was learnt.');
    expect(predictStepUs(cost, load) / predictStepUs(truth, load)).toBeCloseTo(3, 0);
  });

  it('stays finite and at least 0, whatever it is told', () => {
    const load = fc.record({
      tokens: fc.integer({ min: 0, max: 512 }),
      keysSeen: fc.integer({ min: 0, max: 1_000_000 }),
    });
    const us = fc.oneof(
      fc.double({ min: 0, max: 1e7, noNaN: true }),
      fc.constantFrom(NaN, -5, Infinity),
    );
    const observations = fc.array(fc.tuple(load, us), { minLength: 16, maxLength: 400 });
    fc.assert(
      fc.property(observations, (all) => {
        const learner = new StepCostLearner();
        for (const [given, time] of all) learner.add({ ...given, us: time });
        for (const value of Object.values(learner.cost ?? {})) {
          expect(Number.isFinite(value)).toBe(true);
          expect(value).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });
});
