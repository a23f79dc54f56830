import { referenceBackend, type Backend } from '@megascale/core';
import { microBatch, SeededRandom, type Colocated, type TinyModel } from '@megascale/core/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cpuBackend } from '../../src/index.js';
import { distance, open } from '../support/compare.js';
import { testedIsas } from '../support/isas.js';
import { randomModel } from '../support/random-model.js';

/** Of the logits of a model with up to three layers; bf16 between ops is nearly all of it. */
const logitsBound = 0.05;
const seeds = Array.from({ length: 12 }, (_, i) => 100 + i);
const promptTokens = 45;

describe.each(await testedIsas())('models of any size on %s', (isa) => {
  let backends: { readonly cpu: Backend; readonly reference: Backend };
  beforeAll(async () => {
    const cpu = await cpuBackend.create({ isa, threads: 2 });
    backends = { cpu, reference: await referenceBackend.create() };
  });
  afterAll(() => {
    for (const backend of Object.values(backends)) backend.close();
  });

  for (const seed of seeds) {
    it(`logits match the reference, seed ${seed}`, async () => {
      // Every expert takes part, so rounding cannot make a router choose another one.
      const model = randomModel(seed, { experts: true });
      const found = await promptAndStep(backends.cpu, model);
      const expected = await promptAndStep(backends.reference, model);
      expect(distance(found, expected), JSON.stringify(model.config)).toBeLessThanOrEqual(
        logitsBound,
      );
    });
  }
});

/** Logits of a prompt in two chunks, the second in a batch with others. */
async function promptAndStep(backend: Backend, model: TinyModel): Promise<Float32Array> {
  const colocated: Colocated = await open(backend, model.graph, model.weights);
  const random = new SeededRandom(9);
  const { vocabSize } = model.graph.sizes;
  const tokenIds = random.tokenIds(promptTokens, vocabSize);
  const other = { tokenIds: random.tokenIds(5, vocabSize), kvPages: [9] };
  const kvPages = [7, 0, 4];
  const first = microBatch({ sequences: [{ tokenIds: tokenIds.slice(0, 30), kvPages }] });
  const rest = { tokenIds: tokenIds.slice(30), firstPosition: 30, kvPages };
  const second = microBatch({ index: 1, sequences: [other, rest] });
  const logits = [colocated.run(first), colocated.run(second)];
  colocated.close();
  return Float32Array.from(logits.flatMap((part) => [...part]));
}
