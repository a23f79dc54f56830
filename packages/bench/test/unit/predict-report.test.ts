import { describe, expect, it } from 'vitest';
import type { PredictRow } from '../../src/profile/predict/predict-bench.js';
import { predictText, summaryOf } from '../../src/profile/predict/predict-report.js';

const row = (deployment: string, tpotError: number, rateError: number): PredictRow => ({
  model: 'm',
  deployment,
  batch: 8,
  pace: 1.2,
  foreignShare: 0,
  predicted: { tokensPerSecond: 300, tpotUs: 26_000 },
  measured: { tokensPerSecond: 310, tpotUs: 25_000 },
  tpotError,
  rateError,
  tpotErrors: [tpotError, tpotError],
  parts: {
    tpotUs: 26_000,
    tokensPerSecond: 300,
    attentionUs: 1,
    expertUs: 1,
    transferUs: 0,
    edgeUs: 1,
    stepOverheadUs: 1,
    handoverUs: 1,
  },
  measuredParts: { attentionUs: 1, expertUs: 1, edgeUs: 1, handoverUs: 1, stepOverheadUs: 1 },
});
const rows = [row('colocated', 0.04, -0.03), row('1 × 1, m = 2', -0.12, 0.11), row('x', 0.01, 0)];

describe('a report of predictions', () => {
  it('counts errors in both directions alike', () => {
    expect(summaryOf(rows)).toEqual({
      runs: 3,
      medianTpotError: 0.04,
      worstTpotError: 0.12,
      medianRateError: 0.03,
      worstRateError: 0.11,
    });
  });

  it('shows every run and the summary', () => {
    const text = predictText(rows);
    expect(text).toContain('−12.0 %');
    expect(text).toContain('+11.0 %');
    expect(text).toContain('3 runs: TPOT off by 4.0 % (median), 12.0 % (worst)');
    expect(text.split('\n')[1]).toMatch(/^m +colocated +8 +26\.00 ms +25\.00 +\+4\.0 %/);
  });
});
