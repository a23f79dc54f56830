import { microBatchIndex } from '@megascale/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createStepOrders, followSteps, pingPong } from '../../src/index.js';

const first = (count: number) =>
  Array.from({ length: count }, (_, index) => microBatchIndex(index));

interface Times {
  readonly attention: number;
  readonly experts: number;
  /** One way. */
  readonly transfer: number;
}

interface Run {
  readonly layerCount: number;
  readonly microBatchCount: number;
  readonly stepCount: number;
  readonly overlap: boolean;
}

/** When steps end on one attention worker and one expert worker that follow `followSteps`. */
function simulateSteps(run: Run, times: Times): number {
  const answersAt = new Map<number, number>();
  let attentionAt = 0;
  let expertsAt = 0;
  let left = run.stepCount - 1;
  const step = { microBatchIndices: first(run.microBatchCount) };
  followSteps(step, {
    orderOf: createStepOrders(run.layerCount),
    overlap: run.overlap,
    begin: () => undefined,
    startMicroBatch: () => undefined,
    endMicroBatch: () => undefined,
    end: () => undefined,
    next: () => (left-- > 0 ? { ...step } : undefined),
    perform(_, { type, microBatch }) {
      if (type === 'attend') attentionAt += times.attention;
      if (type === 'combine') attentionAt = Math.max(attentionAt, answersAt.get(microBatch) ?? NaN);
      if (type !== 'dispatch') return;
      expertsAt = Math.max(expertsAt, attentionAt + times.transfer) + times.experts;
      answersAt.set(microBatch, expertsAt + times.transfer);
    },
  });
  return attentionAt;
}

/** When one step ends. */
const simulate = (layerCount: number, microBatchCount: number, times: Times): number =>
  simulateSteps({ layerCount, microBatchCount, stepCount: 1, overlap: false }, times);

/** The closed form for a pipeline that is never short of work. */
const fullPipeline = (layerCount: number, microBatchCount: number, times: Times) =>
  times.attention +
  times.experts +
  2 * times.transfer +
  Math.max(times.attention, times.experts) * (microBatchCount * layerCount - 1);

describe('the order of the ping-pong pipeline', () => {
  it('is, for two layers and two micro-batches, the one everybody can check by hand', () => {
    const order = [...pingPong(2, first(2))].map((action) =>
      action.type === 'sample'
        ? `sample ${action.microBatch}`
        : `${action.type} ${action.layer}.${action.microBatch}`,
    );
    expect(order).toEqual([
      ...['attend 0.0', 'dispatch 0.0', 'attend 0.1', 'dispatch 0.1'],
      ...['combine 0.0', 'attend 1.0', 'dispatch 1.0', 'combine 0.1', 'attend 1.1', 'dispatch 1.1'],
      ...['combine 1.0', 'sample 0', 'combine 1.1', 'sample 1'],
    ]);
  });

  it('has nothing to do for no micro-batch, and only samples for no layer', () => {
    expect([...pingPong(3, [])]).toEqual([]);
    expect([...pingPong(0, first(1))]).toEqual([{ type: 'sample', microBatch: 0 }]);
  });

  it('takes every micro-batch through attend, dispatch, combine of each layer, then samples it once', () => {
    const size = fc.integer({ min: 1, max: 6 });
    fc.assert(
      fc.property(size, size, (layerCount, microBatchCount) => {
        const actions = [...pingPong(layerCount, first(microBatchCount))];
        for (const microBatch of first(microBatchCount)) {
          const own = actions.filter((action) => action.microBatch === microBatch);
          const expected = Array.from({ length: layerCount }, (_, layer) =>
            ['attend', 'dispatch', 'combine'].map((type) => ({ type, layer, microBatch })),
          );
          expect(own).toEqual([...expected.flat(), { type: 'sample', microBatch }]);
        }
      }),
    );
  });

  it('is also there in three parts, the same object for the same micro-batches', () => {
    const orderOf = createStepOrders(3);
    const some = [microBatchIndex(0), microBatchIndex(2)];
    const { opening, middle, closing } = orderOf(some);
    expect([...opening.flat(), ...middle, ...closing.flat()]).toEqual([...pingPong(3, some)]);
    expect(opening.map(([action]) => action?.microBatch)).toEqual(some);
    expect(orderOf([...some])).toBe(orderOf(some));
    expect(orderOf(first(2))).not.toBe(orderOf(some));
  });
});

describe('the time of one step', () => {
  it.each([
    { microBatchCount: 3, transfer: 0.5, expected: 182.0 },
    { microBatchCount: 4, transfer: 0.9, expected: 242.8 },
    { microBatchCount: 3, transfer: 0.6, expected: 194.0 },
    { microBatchCount: 2, transfer: 0.5, expected: 181.0 },
  ])(
    'is $expected for m = $microBatchCount and T_c = $transfer, at T_a = T_e = 1 and 60 layers',
    ({ microBatchCount, transfer, expected }) => {
      const total = simulate(60, microBatchCount, { attention: 1, experts: 1, transfer });
      expect(total).toBeCloseTo(expected, 9);
    },
  );

  const layerCount = fc.integer({ min: 2, max: 12 });
  const microBatchCount = fc.integer({ min: 1, max: 8 });
  const stage = fc.integer({ min: 1, max: 20 });
  const share = fc.integer({ min: 0, max: 19 });

  it('is T_a + T_e + 2T_c + T_f(mL − 1) exactly when m·T_f ≥ 2(T_f + T_c), else more', () => {
    fc.assert(
      fc.property(layerCount, microBatchCount, stage, share, (layers, m, time, part) => {
        // Whole numbers, so that "exactly" needs no tolerance; T_c < T_f.
        const times = { attention: time, experts: time, transfer: Math.floor((part * time) / 20) };
        const total = simulate(layers, m, times);
        const full = fullPipeline(layers, m, times);
        if (m * time >= 2 * (time + times.transfer)) expect(total).toBe(full);
        else expect(total).toBeGreaterThan(full);
      }),
    );
  });

  it('is T_a + T_e + 2T_c per layer when one micro-batch goes alone', () => {
    fc.assert(
      fc.property(layerCount, stage, stage, share, (layers, attention, experts, transfer) => {
        const total = simulate(layers, 1, { attention, experts, transfer });
        expect(total).toBe(layers * (attention + experts + 2 * transfer));
      }),
    );
  });

  it('is never below what the busier pool needs', () => {
    fc.assert(
      fc.property(layerCount, microBatchCount, stage, stage, (layers, m, attention, experts) => {
        const total = simulate(layers, m, { attention, experts, transfer: 1 });
        expect(total).toBeGreaterThanOrEqual(m * layers * Math.max(attention, experts));
      }),
    );
  });
});

describe('the time of many steps', () => {
  const small = fc.integer({ min: 1, max: 6 });
  const time = fc.integer({ min: 0, max: 20 });

  it('is, without overlap, that of one step each; with overlap never more', () => {
    fc.assert(
      fc.property(small, small, small, time, time, time, (...drawn) => {
        const [layerCount, microBatchCount, stepCount, attention, experts, transfer] = drawn;
        const times = { attention, experts, transfer };
        const run = { layerCount, microBatchCount, stepCount };
        const apart = simulateSteps({ ...run, overlap: false }, times);
        expect(apart).toBe(stepCount * simulate(layerCount, microBatchCount, times));
        expect(simulateSteps({ ...run, overlap: true }, times)).toBeLessThanOrEqual(apart);
      }),
    );
  });

  it('is, with overlap, that of one step with as many layers: the pipeline fills once', () => {
    fc.assert(
      fc.property(small, small, small, time, time, time, (...drawn) => {
        const [layerCount, microBatchCount, stepCount, attention, experts, transfer] = drawn;
        const times = { attention, experts, transfer };
        const joined = simulateSteps(
          { layerCount, microBatchCount, stepCount, overlap: true },
          times,
        );
        expect(joined).toBe(simulate(layerCount * stepCount, microBatchCount, times));
      }),
    );
  });
});
