import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFrame, type Frame } from '../../src/protocol/frame.js';
import { Gather } from '../../src/expert/gather.js';
import { GatherSimulation, type SimulationOptions } from '../support/gather-simulation.js';

const simulations = fc.record({
  attentionWorkerCount: fc.integer({ min: 1, max: 4 }),
  expertWorkerCount: fc.integer({ min: 1, max: 4 }),
  slotCount: fc.integer({ min: 1, max: 4 }),
  layerCount: fc.integer({ min: 1, max: 3 }),
  steps: fc.integer({ min: 1, max: 8 }),
  parkChance: fc.constantFrom(0, 0.2, 0.6),
  emptyChance: fc.constantFrom(0, 0.3, 0.8),
  seed: fc.nat(),
});

function expectAllServed(options: SimulationOptions): void {
  const simulation = new GatherSimulation(options);
  const { stuck, trouble, framesWithRows } = simulation.run();
  expect(stuck).toBeUndefined();
  expect(trouble).toEqual([]);
  const served = simulation.experts.reduce((sum, { answered }) => sum + answered.size, 0);
  expect(served).toBe(framesWithRows);
}

describe('Gather', () => {
  it('never deadlocks and serves every frame once, in lockstep', () => {
    const policy = { type: 'lockstep' } as const;
    const law = fc.property(simulations, (options) => {
      expectAllServed({ ...options, policy });
    });
    fc.assert(law, { numRuns: 400 });
  });

  it('never deadlocks and serves every frame once, a layer at a time', () => {
    const policy = { type: 'layer' } as const;
    const law = fc.property(simulations, (options) => {
      expectAllServed({ ...options, policy });
    });
    fc.assert(law, { numRuns: 400 });
  });

  it('reads the weights of a layer once per step, however many micro-batches there are', () => {
    const shape = { attentionWorkerCount: 1, expertWorkerCount: 1, slotCount: 4, layerCount: 3 };
    const calm = { parkChance: 0, emptyChance: 0, steps: 10, policy: { type: 'layer' } } as const;
    for (let seed = 0; seed < 20; seed++) {
      const { serves } = new GatherSimulation({ ...shape, ...calm, seed }).run();
      expect(serves).toBe(calm.steps * shape.layerCount);
    }
  });

  it('never deadlocks and serves every frame once, with a window', () => {
    const windows = fc.tuple(simulations, fc.constantFrom(0, 100, 1000));
    const law = fc.property(windows, ([options, windowUs]) => {
      expectAllServed({ ...options, policy: { type: 'window', windowUs } });
    });
    fc.assert(law, { numRuns: 200 });
  });

  it('serves ranks that never park together, but for the first step', () => {
    const shape = { attentionWorkerCount: 3, expertWorkerCount: 1, slotCount: 2, layerCount: 2 };
    const calm = {
      parkChance: 0,
      emptyChance: 0,
      steps: 40,
      policy: { type: 'lockstep' },
    } as const;
    for (let seed = 0; seed < 20; seed++) {
      const { framesWithRows, serves } = new GatherSimulation({ ...shape, ...calm, seed }).run();
      // Micro-batches differ by rank and step, so a serve holds one to three frames.
      expect(framesWithRows / serves).toBeGreaterThan(1.7);
    }
  });
});

type Place = readonly [step: number, layer: number, microBatch: number];

function frame([step, layer, microBatch]: Place, next: Place, rowCount = 1): Frame {
  return {
    ...createFrame(),
    step,
    layer,
    microBatch,
    tokens: 1,
    rowCount,
    next: { step: next[0], layer: next[1], microBatch: next[2] },
  };
}

describe('layer decisions', () => {
  const gather = () =>
    new Gather({ attentionWorkerCount: 2, slotCount: 3, policy: { type: 'layer' } });

  it('waits for the further micro-batches of the rank itself', () => {
    const all = gather();
    all.arrive(0, frame([1, 0, 0], [1, 0, 1]), 0);
    expect(all.decide(0)).toBe('wait');
    expect(all.waitsForRank).toBe(0);
    all.arrive(0, frame([1, 0, 1], [1, 1, 0]), 0);
    expect(all.decide(0)).toBe('serve');
    expect(all.served.slice(0, all.servedCount).map(({ microBatch }) => microBatch)).toEqual([
      0, 1,
    ]);
    expect(all.decide(0)).toBe('idle');
  });

  it('serves a step of one micro-batch at once', () => {
    const all = gather();
    all.arrive(0, frame([1, 0, 2], [1, 1, 2]), 0);
    expect(all.decide(0)).toBe('serve');
  });

  it('serves a layer whose last micro-batch brings no rows', () => {
    const all = gather();
    all.arrive(0, frame([1, 0, 0], [1, 0, 1]), 0);
    all.arrive(0, frame([1, 0, 1], [1, 1, 0], 0), 0);
    expect(all.decide(0)).toBe('serve');
    expect(all.servedCount).toBe(1);
  });

  it('leaves a micro-batch of the next layer for later', () => {
    const all = gather();
    all.arrive(0, frame([1, 0, 0], [1, 0, 1], 0), 0);
    all.arrive(0, frame([1, 0, 1], [1, 1, 0]), 0);
    all.arrive(0, frame([1, 1, 0], [1, 1, 1]), 0);
    expect(all.decide(0)).toBe('serve');
    expect(all.servedCount).toBe(1);
    expect(all.served[0]).toMatchObject({ layer: 0, microBatch: 1 });
    expect(all.decide(0)).toBe('wait');
  });

  it('serves all micro-batches of all ranks in the order of ranks', () => {
    const all = gather();
    all.arrive(1, frame([1, 0, 0], [1, 0, 2]), 0);
    all.arrive(0, frame([1, 0, 1], [1, 1, 1]), 0);
    expect(all.decide(0)).toBe('wait');
    expect(all.waitsForRank).toBe(1);
    all.arrive(1, frame([1, 0, 2], [1, 1, 0]), 0);
    expect(all.decide(0)).toBe('serve');
    const places = all.served.map(({ attentionRank, microBatch }) => [attentionRank, microBatch]);
    expect(places).toEqual([
      [0, 1],
      [1, 0],
      [1, 2],
    ]);
  });

  it('does not wait for a rank that parks between two micro-batches', () => {
    const all = gather();
    all.arrive(0, frame([1, 0, 0], [1, 0, 1]), 0);
    all.arrive(0, { ...createFrame(), type: 'park' }, 0);
    expect(all.decide(0)).toBe('serve');
  });
});

describe('lockstep decisions', () => {
  const gather = () =>
    new Gather({ attentionWorkerCount: 2, slotCount: 2, policy: { type: 'lockstep' } });

  it('is idle before anything came, and ended when all have closed', () => {
    const all = gather();
    expect(all.decide(0)).toBe('idle');
    all.close(0);
    expect(all.decide(0)).toBe('idle');
    all.close(1);
    expect(all.decide(0)).toBe('ended');
  });

  it('does not wait for a rank that never sent', () => {
    const all = gather();
    all.arrive(0, frame([1, 0, 0], [1, 0, 1]), 0);
    expect(all.decide(0)).toBe('serve');
    expect(all.servedCount).toBe(1);
  });

  it('waits for a rank that announced the same place, until it comes', () => {
    const all = gather();
    all.arrive(1, frame([1, 0, 0], [1, 1, 0], 0), 0);
    all.arrive(0, frame([1, 1, 0], [2, 0, 0]), 0);
    expect(all.decide(0)).toBe('wait');
    expect(all.waitsForRank).toBe(1);
    all.arrive(1, frame([1, 1, 0], [2, 0, 0]), 0);
    expect(all.decide(0)).toBe('serve');
    expect(all.servedCount).toBe(2);
    expect(all.decide(0)).toBe('idle');
  });

  it('does not wait for a rank whose frame without rows passed the place', () => {
    const all = gather();
    all.arrive(1, frame([1, 1, 0], [2, 0, 0], 0), 0);
    all.arrive(0, frame([1, 1, 0], [2, 0, 0]), 0);
    expect(all.decide(0)).toBe('serve');
    expect(all.servedCount).toBe(1);
  });

  it('does not wait for a rank that parked or closed', () => {
    const park = (all: Gather) => all.arrive(1, { ...createFrame(), type: 'park' }, 0);
    const close = (all: Gather): void => {
      all.close(1);
    };
    for (const leave of [park, close]) {
      const all = gather();
      all.arrive(1, frame([1, 0, 0], [1, 1, 0], 0), 0);
      all.arrive(0, frame([1, 1, 0], [2, 0, 0]), 0);
      expect(all.decide(0)).toBe('wait');
      leave(all);
      expect(all.decide(0)).toBe('serve');
    }
  });

  it('waits for a rank one step behind, not for one further behind', () => {
    for (const [step, decision] of [
      [2, 'wait'],
      [3, 'serve'],
    ] as const) {
      const all = gather();
      all.arrive(1, frame([1, 0, 0], [1, 1, 0], 0), 0);
      all.arrive(0, frame([step, 0, 0], [step, 1, 0]), 0);
      expect(all.decide(0)).toBe(decision);
    }
  });

  it('ignores what still arrives from a rank that closed', () => {
    const all = gather();
    all.close(1);
    expect(all.arrive(1, frame([1, 0, 0], [1, 1, 0]), 0)).toBe(true);
    expect(all.decide(0)).toBe('idle');
  });

  it('serves the least place first', () => {
    const all = gather();
    all.arrive(0, frame([5, 1, 0], [5, 1, 1]), 0);
    all.arrive(1, frame([5, 0, 1], [5, 1, 0]), 0);
    expect(all.decide(0)).toBe('serve');
    expect(all.served[0]?.attentionRank).toBe(1);
  });

  it('refuses frames that go back, announce nothing ahead, or use a slot twice', () => {
    const all = gather();
    expect(all.arrive(0, frame([1, 0, 0], [1, 0, 0]), 0)).toBe(false);
    expect(all.arrive(0, frame([1, 1, 0], [2, 0, 0]), 0)).toBe(true);
    expect(all.arrive(0, frame([1, 1, 1], [2, 0, 0]), 0)).toBe(false);
    expect(all.arrive(0, frame([2, 0, 0], [2, 1, 0]), 0)).toBe(false);
  });
});
