import { describe, expect, it } from 'vitest';
import { percentile, spreadOf } from '../../../src/measure/spread.js';

describe('percentile', () => {
  it('takes the nearest rank', () => {
    const samples = [40, 10, 30, 20];
    expect([0, 25, 26, 50, 75, 99, 100].map((p) => percentile(samples, p))).toEqual([
      10, 10, 20, 20, 30, 40, 40,
    ]);
    expect(samples).toEqual([40, 10, 30, 20]);
  });

  it('refuses no samples', () => {
    expect(() => percentile([], 50)).toThrow(RangeError);
  });
});

it('summarizes runs', () => {
  expect(spreadOf([3, 1, 2, 9, 4])).toEqual({ min: 1, median: 3, max: 9 });
});
