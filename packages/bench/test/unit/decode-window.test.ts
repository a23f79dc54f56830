import { describe, expect, it } from 'vitest';
import { BenchError } from '../../src/bench-error.js';
import { decodeWindow } from '../../src/model/decode-window.js';
import { record, step, worker } from '../support/made-up-profiles.js';

/** A prefill of 32 tokens, three decode steps of both sequences, and a last one of one alone. */
const steps = [
  step({ startUs: 0, endUs: 100, outputTokens: 2, tokens: 32 }),
  step({ startUs: 100, endUs: 110 }),
  step({ startUs: 110, endUs: 125 }),
  step({ startUs: 125, endUs: 145 }),
  step({ startUs: 145, endUs: 150, outputTokens: 1, tokens: 1 }),
];

describe('decodeWindow', () => {
  it('starts at the end of the first step in which all decode and ends with the last', () => {
    const records = [
      record({ startUs: 50, endUs: 60, weightBytes: 1_000_000 }),
      record({ startUs: 111, endUs: 120, weightBytes: 100, kvBytes: 10, flops: 1 }),
      record({ startUs: 126, endUs: 140, weightBytes: 200, kvBytes: 20, flops: 2 }),
      record({ startUs: 146, endUs: 149, weightBytes: 1_000_000 }),
    ];
    const experts = [record({ op: 'experts', startUs: 121, endUs: 122, weightBytes: 7, flops: 4 })];
    const window = decodeWindow([
      worker('attention', { steps, records }),
      worker('expert', { records: experts }),
    ]);
    expect(window).toEqual({
      startUs: 110,
      endUs: 145,
      stepTimesUs: [15, 20],
      tokens: 4,
      tokensPerSecond: (4 / 35) * 1e6,
      bytes: 337,
      flops: 7,
    });
  });

  it('adds up the rates of attention workers', () => {
    const one = worker('attention', { steps });
    expect(decodeWindow([one, one]).tokensPerSecond).toBeCloseTo((8 / 35) * 1e6);
  });

  it('refuses a run without two steps to compare, and one with missing records', () => {
    expect(() => decodeWindow([worker('attention', { steps: steps.slice(0, 2) })])).toThrow(
      BenchError,
    );
    expect(() => decodeWindow([worker('attention', { steps, recordsLost: 1 })])).toThrow(
      /fewer output tokens/,
    );
  });
});
