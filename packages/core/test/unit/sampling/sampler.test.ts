import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BackendError } from '../../../src/errors.js';
import type { ResolvedSampling } from '../../../src/sampling/resolve-sampling.js';
import { Sampler } from '../../../src/sampling/sampler.js';

const plain: ResolvedSampling = { temperature: 1, topK: 0, topP: 1, minP: 0, seed: 1 };

/** Few distinct values, so that ties are common. */
const logitsOf = fc
  .array(
    fc.oneof(
      fc.integer({ min: -4, max: 4 }),
      fc.float({ min: -20, max: 20, noNaN: true, noDefaultInfinity: true }),
    ),
    { minLength: 1, maxLength: 40 },
  )
  .map((values) => Float32Array.from(values));
const samplingOf: fc.Arbitrary<ResolvedSampling> = fc.record({
  temperature: fc.double({ min: 0.05, max: 5, noNaN: true }),
  topK: fc.integer({ min: 0, max: 45 }),
  topP: fc.oneof(fc.constant(1), fc.double({ min: 0.01, max: 1, noNaN: true })),
  minP: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1, noNaN: true })),
  seed: fc.maxSafeInteger(),
});

/** The rules by sorting everything: the set of tokens that may be chosen. */
function allowed(logits: Float32Array, sampling: ResolvedSampling): Set<number> {
  const max = Math.max(...logits);
  const sorted = [...logits.entries()]
    .map(([id, logit]) => ({ id, weight: Math.exp((logit - max) / sampling.temperature), logit }))
    .sort((a, b) => b.logit - a.logit || a.id - b.id);
  const top = sampling.topK === 0 ? sorted : sorted.slice(0, sampling.topK);
  const total = top.reduce((sum, { weight }) => sum + weight, 0);
  let sum = 0;
  const reaching = top.filter(({ weight }) => {
    // A rounding error's width of doubt is given to the sampler.
    const isNeeded = sampling.topP === 1 || sum < sampling.topP * total * (1 + 1e-12);
    sum += weight;
    return isNeeded;
  });
  return new Set(reaching.filter(({ weight }) => weight >= sampling.minP).map(({ id }) => id));
}

function choose(logits: Float32Array, sampling: ResolvedSampling, position = 0): number {
  return new Sampler(logits.length).choose(logits, sampling, position).tokenId;
}

function lowestBest(logits: Float32Array): number {
  return logits.indexOf(Math.max(...logits));
}

describe('Sampler.choose', () => {
  it('takes the lowest id of the likeliest at temperature 0', () => {
    expect(choose(Float32Array.of(1, 3, 3, 2), { ...plain, temperature: 0 })).toBe(1);
    fc.assert(
      fc.property(logitsOf, samplingOf, (logits, sampling) => {
        const greedy = { ...sampling, temperature: 0 };
        expect(choose(logits, greedy)).toBe(lowestBest(logits));
      }),
    );
  });

  it('is greedy with topK 1, with a tiny topP, and at a temperature near 0', () => {
    fc.assert(
      fc.property(logitsOf, samplingOf, fc.nat(), (logits, sampling, position) => {
        const best = lowestBest(logits);
        expect(choose(logits, { ...sampling, topK: 1 }, position)).toBe(best);
        expect(choose(logits, { ...sampling, topP: 1e-9 }, position)).toBe(best);
        const cold = choose(logits, { ...sampling, temperature: 1e-300 }, position);
        expect(logits[cold]).toBe(logits[best]);
      }),
    );
  });

  it('only chooses tokens that all rules leave', () => {
    fc.assert(
      fc.property(logitsOf, samplingOf, (logits, sampling) => {
        const sampler = new Sampler(logits.length);
        const set = allowed(logits, sampling);
        for (let position = 0; position < 20; position++) {
          expect(set).toContain(sampler.choose(logits, sampling, position).tokenId);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('keeps to the rules with a large vocabulary too', () => {
    const sampler = new Sampler(5000);
    const logits = Float32Array.from({ length: 5000 }, (_, id) => Math.sin(id * id) * 4);
    for (const change of [{ topK: 40 }, { topP: 0.5 }, { topP: 0.99 }, { topK: 100, topP: 0.9 }]) {
      const sampling = { ...plain, ...change };
      const set = allowed(logits, sampling);
      for (let position = 0; position < 100; position++) {
        expect(set).toContain(sampler.choose(logits, sampling, position).tokenId);
      }
    }
  });

  it('chooses every token of the smallest set that reaches topP, and no other', () => {
    // Shares 0.5, 0.25, 0.125, 0.125 as exact powers of two.
    const logits = Float32Array.from([0.125, 0.5, 0.125, 0.25].map((share) => Math.log(share)));
    const chosen = (change: Partial<ResolvedSampling>): number[] => {
      const sampler = new Sampler(4);
      const ids = Array.from(
        { length: 400 },
        (_, position) => sampler.choose(logits, { ...plain, ...change }, position).tokenId,
      );
      return [...new Set(ids)].toSorted();
    };
    expect(chosen({})).toEqual([0, 1, 2, 3]);
    expect(chosen({ topP: 0.49 })).toEqual([1]);
    expect(chosen({ topP: 0.51 })).toEqual([1, 3]);
    expect(chosen({ topP: 0.76 })).toEqual([0, 1, 3]);
    expect(chosen({ topP: 0.9 })).toEqual([0, 1, 2, 3]);
    expect(chosen({ topK: 3 })).toEqual([0, 1, 3]);
    // Renormalized over the two left, 1 has two thirds.
    expect(chosen({ topK: 2, topP: 0.66 })).toEqual([1]);
    expect(chosen({ topK: 2, topP: 0.67 })).toEqual([1, 3]);
    expect(chosen({ minP: 0.3 })).toEqual([1, 3]);
    expect(chosen({ minP: 1 })).toEqual([1]);
    expect(chosen({ topP: 0.95, minP: 0.3 })).toEqual([1, 3]);
    // Squared shares: 4 parts of 1/16 … 1/4, so 1 alone has 8/11 of the whole.
    expect(chosen({ temperature: 0.5, topP: 0.7 })).toEqual([1]);
  });

  it.each<[string, Partial<ResolvedSampling>]>([
    ['as it is', {}],
    ['hot', { temperature: 2 }],
    ['cut by topK', { topK: 4 }],
    ['cut by topP', { topP: 0.8 }],
    ['cut by minP', { minP: 0.2 }],
  ])('follows the distribution, %s', (_, change) => {
    const logits = Float32Array.of(0.5, -1, 2, 1.5, 0, 1, -2, 0.25);
    const sampling = { ...plain, ...change, seed: 2024 };
    const set = allowed(logits, sampling);
    const weights = [...logits].map((logit, id) =>
      set.has(id) ? Math.exp(logit / sampling.temperature) : 0,
    );
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const draws = 20_000;
    const counts = new Array<number>(8).fill(0);
    const sampler = new Sampler(8);
    for (let position = 0; position < draws; position++) {
      const { tokenId } = sampler.choose(logits, sampling, position);
      counts[tokenId] = (counts[tokenId] ?? 0) + 1;
    }
    const chiSquare = [...set].reduce((sum, id) => {
      const expected = (draws * (weights[id] ?? 0)) / total;
      return sum + ((counts[id] ?? 0) - expected) ** 2 / expected;
    }, 0);
    expect(counts.filter((count) => count > 0)).toHaveLength(set.size);
    // The 99.9th percentile for 7 degrees of freedom; fewer have less.
    expect(chiSquare).toBeLessThan(24.32);
  });

  it('depends on logits, options, seed and position, and not on what it did before', () => {
    fc.assert(
      fc.property(
        logitsOf,
        samplingOf,
        samplingOf,
        fc.nat(),
        (logits, sampling, other, position) => {
          const used = new Sampler(logits.length);
          used.choose(
            logits.map((logit) => -logit),
            other,
            position + 1,
            3,
          );
          const copy = logits.slice();
          expect(used.choose(logits, sampling, position, 2).tokenId).toBe(
            choose(logits, sampling, position),
          );
          expect(logits).toEqual(copy);
        },
      ),
    );
  });

  it('gives other tokens for another seed and for another position', () => {
    const logits = new Float32Array(1000);
    const tokens = [
      choose(logits, plain, 0),
      choose(logits, plain, 1),
      choose(logits, { ...plain, seed: 2 }, 0),
    ];
    expect(new Set(tokens).size).toBe(3);
  });

  it('reports log-probabilities of the raw logits, whatever was cut', () => {
    const shares = [0.125, 0.5, 0.125, 0.25];
    const logits = Float32Array.from(shares.map((share) => 3 + Math.log(share)));
    const cold = { ...plain, temperature: 0.1, topK: 1 };
    const chosen = new Sampler(4).choose(logits, cold, 0, 3);
    expect(chosen.tokenId).toBe(1);
    expect(chosen.logprob).toBeCloseTo(Math.log(0.5), 6);
    expect(chosen.top?.map(({ tokenId }) => tokenId)).toEqual([1, 3, 0]);
    expect(chosen.top?.map(({ logprob }) => Math.exp(logprob))).toEqual(
      [0.5, 0.25, 0.125].map((share) => expect.closeTo(share, 6) as number),
    );
    expect(new Sampler(4).choose(logits, cold, 0, 9).top).toHaveLength(4);
    expect(new Sampler(4).choose(logits, cold, 0, 0).top).toEqual([]);
    expect(new Sampler(4).choose(logits, cold, 0)).toEqual({ tokenId: 1 });
  });

  it.each([NaN, Infinity, -Infinity])('refuses a logit of %s, naming it', (bad) => {
    const attempt = (): unknown => choose(Float32Array.of(0, 1, bad, 2), plain);
    expect(attempt).toThrow(BackendError);
    expect(attempt).toThrow(`The logit of token 2 is ${bad}`);
    expect(attempt).toThrow(expect.objectContaining({ code: 'ERR_DEVICE' }));
  });

  it('refuses logits of another vocabulary', () => {
    expect(() => new Sampler(3).choose(new Float32Array(4), plain, 0)).toThrow(
      'Expected 3 logits, found 4',
    );
  });
});
