import { stepTimeUs } from '@megascale/scheduler';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { simulateSteps } from '../../../src/simulator/step/simulate-steps.js';
import { constantInstance } from '../../support/simulator/instances.js';

const load = { tokens: 12, keysSeen: 120 };
const times = (attentionTimeUs: number, expertTimeUs: number, transferTimeUs: number) => ({
  attentionTimeUs,
  expertTimeUs,
  transferTimeUs,
});

describe('a simulated step', () => {
  it.each([
    { m: 3, transfer: 0.5, expected: 182.0 },
    { m: 4, transfer: 0.9, expected: 242.8 },
    { m: 3, transfer: 0.6, expected: 194.0 },
    { m: 2, transfer: 0.5, expected: 181.0 },
  ])('takes $expected with m = $m, T_c = $transfer', ({ m, transfer, expected }) => {
    const instance = constantInstance(times(1, 1, transfer), { microBatches: m });
    expect(simulateSteps({ instance, loads: [load], steps: 1 }).totalUs).toBeCloseTo(expected, 9);
  });

  const us = fc.integer({ min: 1, max: 10_000 });
  const stages = fc.record({ attentionTimeUs: us, expertTimeUs: us, transferTimeUs: us });
  const small = fc.integer({ min: 1, max: 9 });

  it('takes what the closed form says, for any times', () => {
    fc.assert(
      fc.property(stages, small, small, small, (given, m, layers, experts) => {
        const instance = constantInstance(given, {
          microBatches: m,
          layers,
          expertWorkers: experts,
        });
        const { totalUs } = simulateSteps({ instance, loads: [load], steps: 1 });
        expect(totalUs).toBeCloseTo(stepTimeUs(given, m, layers), 6);
      }),
    );
  });

  it('follows the one before without a gap: n joined steps are one of n times the layers', () => {
    fc.assert(
      fc.property(stages, small, small, small, (given, m, layers, steps) => {
        const instance = constantInstance(given, {
          microBatches: m,
          layers,
          overlapSteps: true,
        });
        const { totalUs } = simulateSteps({ instance, loads: [load], steps });
        expect(totalUs).toBeCloseTo(stepTimeUs(given, m, layers * steps), 5);
      }),
    );
  });
});
