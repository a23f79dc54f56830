import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  hidesTransfers,
  layerPeriodUs,
  microBatchesToHide,
  stepTimeUs,
  type StageTimes,
} from '../../src/index.js';

const times = (attentionTimeUs: number, expertTimeUs: number, transferTimeUs: number) => ({
  attentionTimeUs,
  expertTimeUs,
  transferTimeUs,
});

describe('the closed form of a step', () => {
  it.each([
    { m: 3, transfer: 0.5, expected: 182.0 },
    { m: 4, transfer: 0.9, expected: 242.8 },
    { m: 3, transfer: 0.6, expected: 194.0 },
    { m: 2, transfer: 0.5, expected: 181.0 },
    { m: 1, transfer: 0.5, expected: 180.0 },
  ])('m = $m, T_c = $transfer of T_f, 60 layers: $expected', ({ m, transfer, expected }) => {
    expect(stepTimeUs(times(1, 1, transfer), m, 60)).toBeCloseTo(expected, 9);
  });

  it.each([
    { given: times(1, 1, 0), least: 2 },
    { given: times(1, 1, 0.1), least: 3 },
    { given: times(1, 1, 0.5), least: 3 },
    { given: times(1, 1, 0.6), least: 4 },
    { given: times(1, 1, 1), least: 4 },
    { given: times(1, 0.2, 0.1), least: 2 },
    { given: times(1, 0, 0), least: 1 },
    { given: times(1, 1, 1.1), least: undefined },
    { given: times(0, 0, 0), least: 1 },
  ])('$given needs m = $least to hide its transfers', ({ given, least }) => {
    expect(microBatchesToHide(given)).toBe(least);
  });

  const us = fc.integer({ min: 1, max: 10_000 });
  const stages = fc.record({ attentionTimeUs: us, expertTimeUs: us, transferTimeUs: us });
  const small = fc.integer({ min: 1, max: 12 });

  it('is what an order of events gives, for any times', () => {
    fc.assert(
      fc.property(stages, small, small, (given, m, layers) => {
        expect(stepTimeUs(given, m, layers)).toBeCloseTo(simulated(given, m, layers), 6);
      }),
    );
  });

  it('needs no m beyond the least that hides transfers, and none less does', () => {
    fc.assert(
      fc.property(stages, (given) => {
        const least = microBatchesToHide(given);
        const all = Array.from({ length: 20 }, (_, i) => hidesTransfers(given, i + 1));
        expect(all.indexOf(true)).toBe(least === undefined ? -1 : least - 1);
        if (least === undefined) return;
        const perToken = layerPeriodUs(given, least) / least;
        expect(layerPeriodUs(given, least + 1) / (least + 1)).toBeCloseTo(perToken, 6);
      }),
    );
  });
});

/**
 * Two workers and a link each way, each busy with one micro-batch at a time, in the order of
 * `pingPong`.
 */
function simulated(given: StageTimes, m: number, layers: number): number {
  const { attentionTimeUs, expertTimeUs, transferTimeUs } = given;
  const free = { attention: 0, there: 0, expert: 0, back: 0 };
  const home = Array.from({ length: m }, () => 0);
  const pass = (resource: keyof typeof free, ready: number, duration: number): number =>
    (free[resource] = Math.max(free[resource], ready) + duration);
  for (let layer = 0; layer < layers; layer += 1) {
    for (let microBatch = 0; microBatch < m; microBatch += 1) {
      const attended = pass('attention', home[microBatch] ?? 0, attentionTimeUs);
      const arrived = pass('there', attended, transferTimeUs);
      const answered = pass('expert', arrived, expertTimeUs);
      home[microBatch] = pass('back', answered, transferTimeUs);
    }
  }
  return Math.max(...home);
}
