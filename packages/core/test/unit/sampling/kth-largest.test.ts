import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { kthLargest } from '../../../src/sampling/kth-largest.js';

describe('kthLargest', () => {
  it('is the element at that place of the sorted list', () => {
    const values = fc.array(fc.integer({ min: -5, max: 5 }), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(values, fc.nat(), (list, any) => {
        const count = 1 + (any % list.length);
        const sorted = list.toSorted((a, b) => b - a);
        const found = kthLargest(Float32Array.from(list), count, new Float32Array(count));
        expect(found).toBe(sorted[count - 1]);
      }),
      { numRuns: 1000 },
    );
  });
});
