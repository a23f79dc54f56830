import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fitNonNegative } from '../../../src/profile/fit-non-negative.js';
import {
  attentionFitUs,
  expertFitUs,
  fitAttention,
  fitEdge,
  fitExperts,
  edgeFitUs,
} from '../../../src/profile/half-fits.js';
import { fitEffectiveExperts } from '../../../src/profile/route-spread.js';
import { fitTransport, transferUs } from '../../../src/profile/transport-profile.js';

const us = fc.double({ min: 0.5, max: 500, noNaN: true });
const tokenCounts = [1, 2, 4, 8, 16, 32];

describe('fitNonNegative', () => {
  it('finds the plane that samples lie on', () => {
    fc.assert(
      fc.property(us, us, us, (fixed, a, b) => {
        const samples = tokenCounts.flatMap((x) =>
          [1, 5, 9].map((y) => ({ features: [1, x, y], us: fixed + a * x + b * y })),
        );
        const found = fitNonNegative(samples);
        [fixed, a, b].forEach((value, index) => {
          expect((found[index] ?? 0) / value).toBeCloseTo(1, 5);
        });
      }),
    );
  });

  it('is not moved by a fifth of the samples that took many times as long', () => {
    fc.assert(
      fc.property(us, us, fc.double({ min: 2, max: 50, noNaN: true }), (fixed, slope, late) => {
        const samples = Array.from({ length: 60 }, (_, index) => {
          const x = 1 + (index % 12);
          return { features: [1, x], us: (fixed + slope * x) * (index % 5 === 0 ? late : 1) };
        });
        const [a = 0, b = 0] = fitNonNegative(samples);
        expect(a + b * 6).toBeGreaterThan((fixed + slope * 6) * 0.999);
        expect(a + b * 6).toBeLessThan((fixed + slope * 6) * 1.001);
      }),
    );
  });

  it('gives no negative coefficient, whatever the times', () => {
    fc.assert(
      fc.property(fc.array(us, { minLength: 3, maxLength: 12 }), (times) => {
        const samples = times.map((time, x) => ({ features: [1, x, x * x], us: time }));
        for (const value of fitNonNegative(samples)) expect(value).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it('refuses to fit nothing', () => {
    expect(() => fitNonNegative([])).toThrow('at least one sample');
    expect(() => fitNonNegative([{ features: [1], us: 0 }])).toThrow('positive time');
  });
});

describe('fits of halves', () => {
  it('find where an attention half turns from memory to multiply', () => {
    const truth = {
      fixedUs: 180,
      repeatedUs: 70,
      tokenUs: 2,
      kneeTokens: 8,
      kneeTokenUs: 30,
      keyUs: 0.05,
    };
    const samples = tokenCounts.flatMap((tokens) =>
      [10, 200].map((context) => {
        const work = { tokens, keysSeen: tokens * context, repeated: context === 10 ? 0.5 : 0 };
        return { ...work, us: attentionFitUs(truth, work) };
      }),
    );
    const found = fitAttention(samples);
    for (const { us: time, ...work } of samples) {
      expect(attentionFitUs(found, work) / time).toBeCloseTo(1, 6);
    }
    expect(found.repeatedUs).toBeCloseTo(70, 4);
    expect(found.kneeTokens).toBe(8);
    expect(found.keyUs).toBeCloseTo(0.05, 6);
  });

  it('tell what an expert takes from what a row takes', () => {
    const truth = { fixedUs: 20, expertUs: 350, rowUs: 5, kneeRows: 2, kneeRowUs: 60 };
    const samples = [1, 2, 4, 6, 8, 12, 16].flatMap((distinctExperts) =>
      [1, 1.5, 2, 3, 5].map((each) => {
        const rows = Math.round(each * distinctExperts);
        return { rows, distinctExperts, us: expertFitUs(truth, rows, distinctExperts) };
      }),
    );
    const found = fitExperts(samples);
    for (const { rows, distinctExperts, us: time } of samples) {
      expect(expertFitUs(found, rows, distinctExperts) / time).toBeCloseTo(1, 5);
    }
    expect(expertFitUs(found, 0, 0)).toBe(0);
  });

  it('take an edge of no tokens to take no time', () => {
    const found = fitEdge(tokenCounts.map((tokens) => ({ tokens, us: 100 + 3 * tokens })));
    expect(edgeFitUs(found, 0)).toBe(0);
    expect(edgeFitUs(found, 20)).toBeCloseTo(160, 6);
  });
});

describe('fitEffectiveExperts', () => {
  it('gives back the number of experts that are chosen', () => {
    fc.assert(
      fc.property(fc.integer({ min: 4, max: 64 }), (experts) => {
        const topK = 2;
        const seen = [2, 8, 32].map((tokens) => ({
          tokens,
          distinctExperts: experts * (1 - (1 - topK / experts) ** tokens),
        }));
        expect(fitEffectiveExperts(seen, { expertCount: 64, topK })).toBeCloseTo(experts, 2);
      }),
    );
  });
});

describe('fitTransport', () => {
  it('finds alpha and beta, and stays monotone between the sizes', () => {
    fc.assert(
      fc.property(us, fc.double({ min: 100, max: 50_000, noNaN: true }), (alpha, rate) => {
        const sizes = [1024, 8192, 65_536, 1_048_576];
        const measured = sizes.map((bytes) => ({ bytes, latencyUs: alpha + bytes / rate }));
        const fitted = fitTransport('shm', measured);
        expect(fitted.points.map(({ utilization }) => utilization)).toEqual(
          [...fitted.points.map(({ utilization }) => utilization)].sort((a, b) => a - b),
        );
        expect(transferUs(fitted, 30_000)).toBeCloseTo(alpha + 30_000 / rate, 3);
        for (let bytes = 512; bytes < 4e6; bytes *= 1.7) {
          expect(transferUs(fitted, bytes * 1.7)).toBeGreaterThanOrEqual(transferUs(fitted, bytes));
        }
      }),
    );
  });
});
