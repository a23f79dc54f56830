import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  chooseMicroBatchCount,
  hidesTransfers,
  layerPeriodUs,
  MicroBatchTuner,
  timesWith,
  type PipelineObservation,
} from '../../src/index.js';

/** T_a = T_e = 1000 µs at m = 1, of which `fixed` does not shrink, over links of this T_c. */
const workload = (transferTimeUs: number, fixed = 0): PipelineObservation => ({
  microBatchCount: 1,
  times: { attentionTimeUs: 1000, expertTimeUs: 1000, transferTimeUs },
  attentionFixedUs: fixed,
  expertFixedUs: fixed,
});
/** The same, as it is observed with another m. */
const seenWith = (load: PipelineObservation, microBatchCount: number): PipelineObservation => ({
  ...load,
  microBatchCount,
  times: timesWith(load, microBatchCount),
});

describe('choosing m', () => {
  it.each([
    { name: 'no link', load: workload(0), m: 2 },
    { name: 'T_c a third of the T_f at m = 3', load: workload(110), m: 3 },
    // At m = 4, T_f = 250: 4 · 250 ≥ 500 + 2 · 245.
    { name: 'T_c nearly T_f at m = 4', load: workload(245), m: 4 },
    { name: 'halves that cannot be divided', load: workload(0, 1000), m: 1 },
    {
      name: 'no experts to speak of',
      load: {
        ...workload(0),
        times: { attentionTimeUs: 1000, expertTimeUs: 5, transferTimeUs: 2 },
      },
      m: 1,
    },
  ])('$name: $m, from whatever m it is seen', ({ load, m }) => {
    for (const seen of [1, 2, 3, 4]) {
      expect(chooseMicroBatchCount(seenWith(load, seen), 4)).toBe(m);
    }
  });

  it('fulfils the paper’s condition where one of the counts does and nothing is fixed', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2000 }), fc.integer({ min: 2, max: 8 }), (hop, max) => {
        const load = workload(hop);
        const chosen = chooseMicroBatchCount(load, max);
        const counts = Array.from({ length: max }, (_, index) => index + 1);
        if (!counts.some((m) => hidesTransfers(timesWith(load, m), m))) return;
        const period = layerPeriodUs(timesWith(load, chosen), chosen);
        expect(period).toBeLessThanOrEqual(1.02 * 1000 + 1e-6);
      }),
    );
  });
});

describe('choosing m again', () => {
  const observe = (tuner: MicroBatchTuner, load: PipelineObservation): boolean =>
    tuner.observe(seenWith(load, tuner.microBatchCount));

  it('comes to the best m and stays there', () => {
    const tuner = new MicroBatchTuner({ first: 2, max: 4 });
    const changes = Array.from({ length: 50 }, () => observe(tuner, workload(245)));
    expect(tuner.microBatchCount).toBe(4);
    expect(changes.filter(Boolean)).toHaveLength(1);
  });

  it('follows a link that gets slower, and one that gets faster', () => {
    const tuner = new MicroBatchTuner({ first: 3, max: 4 });
    for (let i = 0; i < 20; i += 1) observe(tuner, workload(0, 400));
    expect(tuner.microBatchCount).toBe(2);
    for (let i = 0; i < 20; i += 1) observe(tuner, workload(245));
    expect(tuner.microBatchCount).toBe(4);
  });

  it('does not look at what was measured with another m, nor at a single observation', () => {
    const tuner = new MicroBatchTuner({ first: 2, max: 4 });
    for (let i = 0; i < 20; i += 1) tuner.observe(seenWith(workload(245), 3));
    expect(observe(tuner, workload(245))).toBe(false);
    expect(tuner.microBatchCount).toBe(2);
  });

  it('changes ever less often when what it measures goes to and fro', () => {
    const tuner = new MicroBatchTuner({ first: 2, max: 4 });
    let changes = 0;
    const half = [0, 0];
    for (let i = 0; i < 4000; i += 1) {
      const slow = tuner.microBatchCount === 2;
      if (observe(tuner, slow ? workload(245) : workload(0, 400))) {
        changes += 1;
        half[i < 400 ? 0 : 1] = (half[i < 400 ? 0 : 1] ?? 0) + 1;
      }
    }
    expect(changes).toBeLessThan(16);
    // Nine times as long, and fewer changes.
    expect(half[1]).toBeLessThan(half[0] ?? 0);
  });

  it('never has more than there are slots for, nor fewer than one', () => {
    const us = fc.double({ min: 0, max: 1e6, noNaN: true });
    const load = fc.record({
      times: fc.record({ attentionTimeUs: us, expertTimeUs: us, transferTimeUs: us }),
      attentionFixedUs: us,
      expertFixedUs: us,
    });
    fc.assert(
      fc.property(
        fc.array(load, { maxLength: 40 }),
        fc.integer({ min: 1, max: 8 }),
        (loads, max) => {
          const tuner = new MicroBatchTuner({ first: 3, max });
          for (const each of loads) {
            tuner.observe({ ...each, microBatchCount: tuner.microBatchCount });
            expect(tuner.microBatchCount).toBeGreaterThanOrEqual(1);
            expect(tuner.microBatchCount).toBeLessThanOrEqual(max);
          }
        },
      ),
    );
  });
});
