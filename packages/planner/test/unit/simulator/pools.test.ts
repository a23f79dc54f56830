import { stepTimeUs } from '@megascale/scheduler';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { simulatedTrace } from '../../../src/simulator/step/simulated-trace.js';
import { simulateSteps } from '../../../src/simulator/step/simulate-steps.js';
import type { SimulatedInstance } from '../../../src/simulator/simulated-instance.js';
import { constantInstance, linearInstance } from '../../support/simulator/instances.js';

const load = (tokens: number) => ({ tokens, keysSeen: tokens * 600 });

/** By the length of its slowest worker. */
function total(instance: SimulatedInstance, tokens: readonly number[], steps = 3): number {
  return simulateSteps({ instance, loads: tokens.map(load), steps }).totalUs;
}

describe('pools of several workers', () => {
  it('take what two workers take when every message takes no longer and all have the same work', () => {
    const times = { attentionTimeUs: 7, expertTimeUs: 5, transferTimeUs: 3 };
    for (const microBatches of [1, 2, 3, 4]) {
      // Messages of constant length: N messages to one worker are received at the same time.
      const instance = constantInstance(times, {
        attentionWorkers: 3,
        expertWorkers: 4,
        microBatches,
        layers: 9,
      });
      expect(total(instance, [12, 12, 12], 1)).toBeCloseTo(stepTimeUs(times, microBatches, 9), 6);
    }
  });

  it('take the same whether equal expert workers are simulated together or apart', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 1, max: 4 }),
        (tokens, expertWorkers) => {
          const instance = linearInstance({
            attentionWorkers: tokens.length,
            expertWorkers,
            layers: 4,
          });
          const loads = tokens.map(load);
          const together = simulateSteps({ instance, loads, steps: 2 });
          const apart = simulateSteps({ instance, loads, steps: 2, timelineEvents: 1 });
          expect(apart.totalUs).toBeCloseTo(together.totalUs, 6);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('wait for a slow rank in lockstep, and no longer than its window otherwise', () => {
    const uneven = [30, 300];
    const window = { gather: { type: 'window', windowUs: 20 } } as const;
    const lockstep = simulateSteps({
      instance: linearInstance(),
      loads: uneven.map(load),
      steps: 6,
    });
    const windowed = simulateSteps({
      instance: linearInstance(window),
      loads: uneven.map(load),
      steps: 6,
    });
    const spent = (run: typeof lockstep, rank: number) =>
      (run.stepUs[rank] ?? []).reduce((sum, us) => sum + us, 0);
    expect(spent(windowed, 0)).toBeLessThan(0.8 * spent(lockstep, 0));
    expect(spent(lockstep, 0) / spent(lockstep, 1)).toBeCloseTo(1, 1);
  });

  it('read weights once per layer where they take turns', () => {
    const rowsDoNotMatter = { ...linearInstance().costs, expertTimeUs: () => 100 };
    const lockstep = linearInstance({ costs: rowsDoNotMatter });
    const turns = simulateSteps({
      instance: { ...lockstep, gather: { type: 'layer' } },
      loads: [30, 30].map(load),
      steps: 1,
      timelineEvents: 100_000,
    });
    const runs = turns.timeline.filter(({ kind }) => kind === 'experts');
    expect(runs).toHaveLength(lockstep.layers * lockstep.expertWorkers);
  });

  it('have no link where they are one', () => {
    const times = { attentionTimeUs: 7, expertTimeUs: 5, transferTimeUs: 1000 };
    const instance = constantInstance(times, { expertWorkers: 0, microBatches: 1, layers: 10 });
    expect(total(instance, [4], 3)).toBeCloseTo(3 * 10 * 12, 9);
  });

  it('never take less time with slower parts', () => {
    const us = fc.integer({ min: 1, max: 500 });
    fc.assert(
      fc.property(us, us, us, fc.integer({ min: 1, max: 4 }), us, (a, e, c, m, more) => {
        const shape = { microBatches: m, layers: 5, attentionWorkers: 2, expertWorkers: 2 };
        const of = (attentionTimeUs: number, expertTimeUs: number, transferTimeUs: number) =>
          total(constantInstance({ attentionTimeUs, expertTimeUs, transferTimeUs }, shape), [8, 8]);
        const base = of(a, e, c) - 1e-6;
        for (const slower of [of(a + more, e, c), of(a, e + more, c), of(a, e, c + more)])
          expect(slower).toBeGreaterThanOrEqual(base);
      }),
      { numRuns: 50 },
    );
  });

  it.each([
    { field: 'layers', changes: { layers: 0 } },
    { field: 'topK', changes: { topK: 17 } },
    { field: 'expertShares', changes: { expertShares: [1] } },
    { field: 'microBatches', changes: { microBatches: 1000 } },
  ])('are refused with an impossible $field', ({ field, changes }) => {
    expect(() => total(linearInstance(changes), [1, 1])).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG_FIELD', details: { path: field } }) as Error,
    );
  });
});

describe('a simulated trace', () => {
  it('has the names, lanes and places of the flight recorder', () => {
    const { timeline } = simulateSteps({
      instance: linearInstance({ layers: 2 }),
      loads: [30, 60].map(load),
      steps: 2,
      timelineEvents: 10_000,
    });
    const { traceEvents } = simulatedTrace(timeline);
    const seen = new Set(traceEvents.map(({ name }) => name));
    const always = ['process_name', 'step', 'plan', 'attend', 'dispatch', 'combine', 'logits'];
    for (const name of [...always, 'experts', 'reply', 'wait for rows']) {
      expect(seen.delete(name), name).toBe(true);
    }
    for (const name of seen) expect(['wait for experts', 'wait for link']).toContain(name);
    const attends = traceEvents.filter(({ name }) => name === 'attend');
    // 2 workers, 2 steps, 2 layers, 3 micro-batches.
    expect(attends).toHaveLength(24);
    expect(attends[0]).toMatchObject({ ph: 'X', tid: 1, args: { layer: 0, microBatch: 0 } });
    const names = traceEvents.filter(({ ph }) => ph === 'M').map(({ args }) => args['name']);
    expect(names).toEqual([
      ...['attention worker 0', 'attention worker 1', 'expert worker 0', 'expert worker 1'],
      ...['expert worker 2', 'expert worker 3'],
    ]);
  });

  it('keeps the newest events and counts the others', () => {
    const run = { instance: linearInstance({ layers: 2 }), loads: [30, 60].map(load), steps: 2 };
    const all = simulateSteps({ ...run, timelineEvents: 100_000 });
    const few = simulateSteps({ ...run, timelineEvents: 10 });
    expect(few.timeline).toEqual(all.timeline.slice(-10));
    expect(few.timelineLost).toBe(all.timeline.length - 10);
  });
});
