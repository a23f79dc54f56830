import { expertRank, residentExperts } from '@megascale/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { evenPlacement } from './placement.js';

describe('evenPlacement', () => {
  it('gives every expert to one rank, and no rank more than one expert more than another', () => {
    const sizes = fc
      .tuple(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 64 }))
      .filter(([experts, ranks]) => ranks <= experts);
    fc.assert(
      fc.property(sizes, ([experts, ranks]) => {
        const placement = evenPlacement(experts, ranks);
        const counts = Array.from(
          { length: ranks },
          (_, rank) => residentExperts(placement, expertRank(rank)).length,
        );
        expect(placement.every((holders) => holders.length === 1)).toBe(true);
        expect(counts.reduce((sum, count) => sum + count, 0)).toBe(experts);
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
      }),
    );
  });

  it('refuses ranks that would hold nothing', () => {
    expect(() => evenPlacement(8, 9)).toThrow(/9 expert workers for 8 experts/);
  });
});
