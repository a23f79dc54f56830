import { expertRank, ReplicaBalancer, residentExperts } from '@megascale/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { uniformPlacement } from '../../../src/index.js';

const sizes = fc
  .record({
    experts: fc.integer({ min: 1, max: 64 }),
    ranks: fc.integer({ min: 1, max: 64 }),
    replicas: fc.integer({ min: 1, max: 4 }),
  })
  .filter(({ experts, ranks, replicas }) => ranks <= experts && replicas <= ranks);

describe('uniformPlacement', () => {
  it('gives every expert to so many different ranks, and no rank more than that many experts more than another', () => {
    fc.assert(
      fc.property(sizes, ({ experts, ranks, replicas }) => {
        const placement = uniformPlacement(experts, ranks, replicas);
        const counts = Array.from(
          { length: ranks },
          (_, rank) => residentExperts(placement, expertRank(rank)).length,
        );
        expect(placement.every((holders) => new Set(holders).size === replicas)).toBe(true);
        expect(counts.reduce((sum, count) => sum + count, 0)).toBe(experts * replicas);
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(replicas);
      }),
    );
  });

  it('lets replicas balance: of all experts, no rank reads a quarter more than its share', () => {
    for (const [experts, ranks, replicas] of [
      [128, 8, 2],
      [128, 8, 3],
      [64, 4, 2],
      [256, 16, 2],
    ] as const) {
      const balancer = new ReplicaBalancer(uniformPlacement(experts, ranks, replicas), ranks);
      const all = Int32Array.from({ length: experts }, (_, id) => id);
      balancer.balance(all, experts);
      const loads = Array<number>(ranks).fill(0);
      for (const id of all) {
        const rank = balancer.take(id) ?? 0;
        loads[rank] = (loads[rank] ?? 0) + 1;
      }
      expect(Math.max(...loads)).toBeLessThanOrEqual((experts / ranks) * 1.25);
    }
  });

  it('refuses ranks that would hold nothing', () => {
    expect(() => uniformPlacement(8, 9)).toThrow(/9 expert workers for 8 experts/);
  });

  it('refuses more replicas than ranks', () => {
    expect(() => uniformPlacement(8, 2, 3)).toThrow(
      /3 replicas of every expert on 2 expert workers/,
    );
  });
});
