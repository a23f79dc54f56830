import { describe, expect, it } from 'vitest';
import { layerIndex } from '../../../src/spec/units.js';
import { backendContract } from '../../../src/testing/backend/backend-contract.js';
import { microBatch } from '../../../src/testing/backend/micro-batch.js';
import { openColocated } from '../../../src/testing/backend/run-colocated.js';
import { tinyMixtral } from '../../../src/testing/backend/tiny-models.js';
import { createNullBackend, nullBackend } from '../../../src/null/null-backend.js';

const computesNothing = 'it computes nothing';
const readsNothing = 'it reads no weights';

backendContract({
  name: 'null',
  factory: nullBackend,
  bound: { logits: 0, expertOutputs: 0 },
  skip: {
    ...Object.fromEntries(
      ['mixtral', 'qwen3-moe'].flatMap((family) =>
        [
          'logits match the reference',
          'answers of the experts match the reference',
          'the router chooses the best experts',
        ].map((title) => [`${family}: ${title}`, computesNothing]),
      ),
    ),
    'creating a stage names a tensor that is missing': readsNothing,
  },
});

/** A clock that stands still but for waits, and a null backend on it. */
async function onStillClock(settings: Readonly<Record<string, number>>) {
  let us = 0;
  const clock = { nowUs: () => us, wallMs: () => 0 };
  const backend = await createNullBackend(clock, (until) => {
    us = Math.max(us, until);
  }).create({ settings });
  const model = tinyMixtral();
  const colocated = await openColocated({ backend, model: model.graph, weights: model.weights });
  const taken = (work: () => void): number => {
    const before = us;
    work();
    return us - before;
  };
  return { colocated, taken };
}

const layer = layerIndex(0);
const sequences = [
  { tokenIds: [5, 6, 7], kvPages: [0] },
  { tokenIds: [9], firstPosition: 10, kvPages: [1] },
];

describe('the null backend', () => {
  it('takes as long as it is told, whatever the work', async () => {
    const { colocated, taken } = await onStillClock({ attendUs: 300, expertUs: 200 });
    const batch = microBatch({ sequences });
    expect(
      taken(() => {
        colocated.attention.embed(batch);
      }),
    ).toBe(0);
    expect(
      taken(() => {
        colocated.attention.attend(layer, batch.index);
      }),
    ).toBe(300);
    expect(
      taken(() => {
        colocated.runExperts(layer, batch);
      }),
    ).toBe(200);
    expect(
      taken(() => {
        colocated.attention.combine(layer, batch.index);
      }),
    ).toBe(0);
    expect(taken(() => colocated.attention.logits(batch.index))).toBe(0);
  });

  it('takes time for tokens, for positions read and for rows', async () => {
    const { colocated, taken } = await onStillClock({
      attendUs: 100,
      attendTokenUs: 10,
      attendContextTokenUs: 1,
      expertUs: 50,
      expertRowUs: 2,
    });
    const batch = microBatch({ sequences });
    colocated.attention.embed(batch);
    // Positions read: 1 + 2 + 3, and 11.
    expect(
      taken(() => {
        colocated.attention.attend(layer, batch.index);
      }),
    ).toBe(100 + 40 + 17);
    const { topK } = colocated.model.sizes;
    expect(
      taken(() => {
        colocated.runExperts(layer, batch);
      }),
    ).toBe(50 + 2 * 4 * topK);
  });

  it('spreads rows evenly over the experts, and every row has its experts once', async () => {
    const { colocated } = await onStillClock({});
    const { expertCount, topK } = colocated.model.sizes;
    const tokenIds = Array.from({ length: expertCount }, () => 3);
    const batch = microBatch({ sequences: [{ tokenIds, kvPages: [0] }] });
    colocated.attention.embed(batch);
    colocated.attention.attend(layer, batch.index);
    const { bytes } = colocated.slots[0]?.expertIds ?? {};
    const ids = new Int32Array(bytes?.buffer ?? new ArrayBuffer(0), 0, expertCount * topK);
    const counts = Array.from({ length: expertCount }, (_, id) => ids.filter((e) => e === id));
    expect(counts.map(({ length }) => length)).toEqual(Array(expertCount).fill(topK));
  });

  it.each([{ attendUs: -1 }, { expertUs: NaN }, { thinkUs: 5 }])('refuses %o', async (settings) => {
    await expect(nullBackend.create({ settings })).rejects.toMatchObject({
      code: 'ERR_BACKEND_UNAVAILABLE',
    });
  });

  it('waits on a real clock until the time, not less', async () => {
    const { systemClock } = await import('../../../src/clock.js');
    const { sleepUntil } = await import('../../../src/null/wait-until.js');
    const until = systemClock.nowUs() + 1500;
    sleepUntil()(until);
    expect(systemClock.nowUs()).toBeGreaterThanOrEqual(until);
  });
});
