import {
  layerIndex,
  microBatchIndex,
  randomWeightSource,
  referenceBackend,
  type Backend,
  type ModelGraph,
} from '@megascale/core';
import { microBatch, SeededRandom, type Colocated } from '@megascale/core/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { cpuBackend } from '../../src/index.js';
import { distance, open, readBf16, readF32, readI32 } from '../support/compare.js';
import { testedIsas } from '../support/isas.js';
import { opModel, opNames, opsUnderTest, type OpModelSizes } from '../support/op-models.js';

/**
 * How far each op may be from the reference, as max |difference| / max |reference| of its output,
 * the bf16 of its inputs and of its output counted in. The README shows this table.
 */
const bounds = {
  rmsNorm: 0.004,
  linear: 0.008,
  qkNorm: 0.008,
  rope: 0.008,
  pagedAttention: 0.012,
  addTo: 0.008,
  swiglu: 0.016,
  weights: 0.004,
  answers: 0.012,
  logits: 0.012,
} as const;

/** Plain sizes, and sizes of which nothing is a multiple of anything. */
const allSizes: readonly OpModelSizes[] = [
  { heads: 4, kvHeads: 2, headSize: 16, experts: 8, topK: 8, width: 48, vocab: 96 },
  { heads: 3, kvHeads: 1, headSize: 22, experts: 5, topK: 5, width: 37, vocab: 101, window: 19 },
  { heads: 1, kvHeads: 1, headSize: 8, experts: 1, topK: 1, width: 1, vocab: 3 },
  { heads: 9, kvHeads: 1, headSize: 34, experts: 17, topK: 17, width: 33, vocab: 49, window: 1 },
];
const tokens = 50;

describe.each(await testedIsas())('ops on %s', (isa) => {
  const backends: Promise<Backend>[] = [];
  const create = (made: Promise<Backend>): Promise<Backend> => {
    backends.push(made);
    return made;
  };
  afterAll(async () => {
    for (const backend of await Promise.all(backends)) backend.close();
  });

  for (const sizes of allSizes) {
    const hidden = sizes.heads * sizes.headSize;
    for (const [op, build] of Object.entries(opsUnderTest)) {
      const name = op as keyof typeof opsUnderTest;
      it(`${op} matches the reference, hidden ${hidden}`, async () => {
        const model = opModel(build, sizes);
        expect(opNames(model)).toContain(name);
        const found = await outputs(await create(cpuBackend.create({ isa, threads: 2 })), model);
        const expected = await outputs(await create(referenceBackend.create()), model);
        expect(distance(found.message, expected.message)).toBeLessThanOrEqual(bounds[name]);
        if (name !== 'rmsNorm') return;
        // The ops after the message are the same in every model: they are looked at once.
        expect(distance(found.weights, expected.weights)).toBeLessThanOrEqual(bounds.weights);
        expect(distance(found.answers, expected.answers)).toBeLessThanOrEqual(bounds.answers);
        expect(distance(found.logits, expected.logits)).toBeLessThanOrEqual(bounds.logits);
      });
    }
  }
});

/** What a prompt leaves in the slot, and its logits. Weights and answers in order of expert. */
async function outputs(
  backend: Backend,
  model: ModelGraph,
): Promise<Record<'message' | 'weights' | 'answers' | 'logits', Float32Array>> {
  const colocated = await open(backend, model, randomWeightSource(model, 3));
  const [slot] = colocated.slots;
  if (slot === undefined) throw new RangeError('There is no slot.');
  const { hiddenSize, vocabSize } = model.sizes;
  const tokenIds = new SeededRandom(5).tokenIds(tokens, vocabSize);
  const batch = microBatch({ sequences: [{ tokenIds, kvPages: [3, 1, 4, 0] }] });
  colocated.attention.embed(batch);
  colocated.attention.attend(layerIndex(0), microBatchIndex(0));
  colocated.runExperts(layerIndex(0), batch);
  colocated.attention.combine(layerIndex(0), microBatchIndex(0));
  const read = backend.activationDType === 'f32' ? readF32 : readBf16;
  return {
    message: read(slot.hidden).subarray(0, tokens * hiddenSize),
    ...inOrderOfExpert(colocated, readF32(slot.weights), read(slot.answers)),
    logits: colocated.attention.logits(microBatchIndex(0)).slice(),
  };
}

/** Every expert is chosen, but rounding may change the order of two near scores. */
function inOrderOfExpert(
  colocated: Colocated,
  weights: Float32Array,
  answers: Float32Array,
): Record<'weights' | 'answers', Float32Array> {
  const { topK, hiddenSize } = colocated.model.sizes;
  const [slot] = colocated.slots;
  const ids = slot === undefined ? new Int32Array() : readI32(slot.expertIds);
  const sorted = {
    weights: new Float32Array(tokens * topK),
    answers: new Float32Array(tokens * topK * hiddenSize),
  };
  for (let row = 0; row < tokens * topK; row += 1) {
    const to = row - (row % topK) + (ids[row] ?? NaN);
    sorted.weights[to] = weights[row] ?? NaN;
    sorted.answers.set(answers.subarray(row * hiddenSize, (row + 1) * hiddenSize), to * hiddenSize);
  }
  return sorted;
}
