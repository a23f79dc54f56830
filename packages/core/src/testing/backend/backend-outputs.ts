import { expect } from 'vitest';
import type { AttentionSlot } from '../../spec/backend.js';
import type { DType } from '../../spec/region.js';
import { layerIndex, microBatchIndex } from '../../spec/units.js';
import type { BackendBound, BackendUnderTest } from './backend-under-test.js';
import type { ContractTest } from '../contract-test.js';
import { expectWithin } from './expect-numbers.js';
import { microBatch } from './micro-batch.js';
import { f32Elements, i32Elements, readActivations, writeActivations } from './region-elements.js';
import { promptLogits, type Colocated } from './run-colocated.js';
import { SeededRandom } from '../seeded-random.js';
import { tinyFamilies, type TinyModel, type TinyModelOptions } from './tiny-models.js';

const promptTokens = 40;

/** Numbers against the reference's. */
export function backendOutputs(
  test: ContractTest,
  subject: BackendUnderTest,
  bound: BackendBound,
): void {
  test('probe and create agree', async () => {
    const probe = await subject.factory.probe();
    const backend = await subject.shared();
    expect(backend.name).toBe(subject.factory.name);
    expect(probe.available && probe.variants).toContain(backend.isa);
  });

  test('allocate gives zeroed bytes', async () => {
    const region = (await subject.shared()).allocate(1000);
    expect(region.byteLength).toBe(1000);
    if (region.memory === 'host') expect([...(region.bytes ?? [])]).toEqual(Array(1000).fill(0));
  });

  for (const { family, make } of tinyFamilies) {
    // Every expert takes part, so no rounding can make a router choose another one.
    const dense = allExperts(make);
    const tokenIds = new SeededRandom(7).tokenIds(promptTokens, dense.graph.sizes.vocabSize);

    test(`${family}: logits match the reference`, async () => {
      const expected = promptLogits(await subject.openReference(dense), tokenIds);
      const found = promptLogits(await subject.open(dense), tokenIds);
      expectWithin(found, expected, bound.logits, 'logits');
    });

    test(`${family}: answers of the experts match the reference`, async () => {
      const model = make();
      const [found, expected] = [await subject.open(model), await subject.openReference(model)];
      const { activationDType } = await subject.shared();
      const answers = expertOutputsOf(found, activationDType);
      expectWithin(answers, expertOutputsOf(expected, 'f32'), bound.expertOutputs, 'answers');
    });

    test(`${family}: the router chooses the best experts`, async () => {
      const chosen = firstRoutes(await subject.open(make()), tokenIds);
      const scores = expertScores(firstRoutes(await subject.openReference(dense), tokenIds));
      expectBestChosen(chosen, scores, bound.logits);
    });
  }
}

function allExperts(make: (options?: TinyModelOptions) => TinyModel): TinyModel {
  const { expertCount } = make().graph.sizes;
  return make({ config: { num_experts_per_tok: expertCount } });
}

/**
 * All experts of the first layer on the same rows, values that are exact in bf16 → every answer.
 */
function expertOutputsOf(colocated: Colocated, dtype: DType): Float32Array {
  const { hiddenSize, topK, expertCount } = colocated.model.sizes;
  const slot = firstSlot(colocated);
  const tokens = colocated.tokensPerMicroBatchMax;
  const random = new SeededRandom(11);
  const hidden = Float32Array.from(
    { length: tokens * hiddenSize },
    () => random.integer(-128, 128) / 64,
  );
  writeActivations(slot.hidden, dtype, hidden);
  const ids = i32Elements(slot.expertIds);
  ids.forEach((_, row) => (ids[row] = (row * 7 + Math.floor(row / topK)) % expertCount));
  const tokenIds = Array.from({ length: tokens }, () => 0);
  const batch = microBatch({ sequences: [{ tokenIds, kvPages: [0, 1, 2, 3] }] });
  colocated.runExperts(layerIndex(0), batch);
  return readActivations(slot.answers, dtype).subarray(0, tokens * topK * hiddenSize);
}

function firstSlot(colocated: Colocated): AttentionSlot {
  const [slot] = colocated.slots;
  if (slot === undefined) throw new RangeError('There is no slot.');
  return slot;
}

interface TokenRoutes {
  readonly expertIds: readonly number[];
  readonly weights: readonly number[];
}

/** The routes of each token at the first layer. */
function firstRoutes(colocated: Colocated, tokenIds: readonly number[]): TokenRoutes[] {
  const { topK } = colocated.model.sizes;
  const slot = firstSlot(colocated);
  const kvPages = Array.from({ length: 4 }, (_, page) => page);
  colocated.attention.embed(microBatch({ sequences: [{ tokenIds, kvPages }] }));
  colocated.attention.attend(layerIndex(0), microBatchIndex(0));
  const [ids, weights] = [i32Elements(slot.expertIds), f32Elements(slot.weights)];
  return tokenIds.map((_, token) => ({
    expertIds: [...ids.subarray(token * topK, (token + 1) * topK)],
    weights: [...weights.subarray(token * topK, (token + 1) * topK)],
  }));
}

/** Routes that name every expert → log score by expert id. */
function expertScores(routes: readonly TokenRoutes[]): number[][] {
  return routes.map(({ expertIds, weights }) => {
    const scores = new Array<number>(expertIds.length).fill(0);
    expertIds.forEach((id, k) => (scores[id] = Math.log(weights[k] as number)));
    return scores;
  });
}

/** Rounding may swap experts of nearly equal score, so scores are compared, not ids. */
function expectBestChosen(
  chosen: readonly TokenRoutes[],
  scores: readonly (readonly number[])[],
  bound: number,
): void {
  const largest = Math.max(...scores.flat().map(Math.abs));
  // The scores were themselves rounded to f32.
  const slack = 2 * bound * largest + 1e-6;
  chosen.forEach(({ expertIds, weights }, token) => {
    const all = scores[token] ?? [];
    const best = [...all].sort((a, b) => b - a);
    const picked = expertIds.map((id) => all[id] ?? -Infinity);
    expect(new Set(expertIds).size, `token ${token}: distinct experts`).toBe(expertIds.length);
    const sum = picked.reduce((total, score) => total + Math.exp(score), 0);
    picked.forEach((score, k) => {
      const message = `token ${token}, choice ${k}`;
      expect(score, `${message}: score`).toBeGreaterThanOrEqual((best[k] as number) - slack);
      const weight = Math.exp(score) / sum;
      expect(Math.abs((weights[k] as number) - weight), `${message}: weight`).toBeLessThanOrEqual(
        slack,
      );
    });
  });
}
