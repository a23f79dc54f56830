import { expertId, layerIndex, partition, type Backend } from '@megascale/core';
import {
  microBatch,
  promptLogits,
  SeededRandom,
  tinyMixtral,
  type BatchedSequence,
  type TinyModel,
} from '@megascale/core/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { cpuBackend } from '../../src/index.js';
import { expectSameBits, hostBytes, open, readBf16 } from '../support/compare.js';
import { machineIsas, testedIsas } from '../support/isas.js';
import { randomModel } from '../support/random-model.js';

/** Around the ends of register blocks, tiles and row chunks. */
const rowCounts = [1, 2, 15, 16, 17, 31, 33, 100];
const promptTokens = 50;
const pagesOfPrompt = [4, 0, 2, 5];

/** Wide enough that threads share the work, and several chunks of rows. */
const wide = tinyMixtral({
  seed: 6,
  config: { hidden_size: 256, intermediate_size: 300, head_dim: 32, num_experts_per_tok: 2 },
});
const models: readonly (readonly [name: string, model: TinyModel])[] = [
  ['wide', wide],
  ...[201, 202, 203].map(
    (seed) => [`seed ${seed}`, randomModel(seed, { experts: false })] as const,
  ),
];

describe.each(await testedIsas())('a row does not depend on its batch on %s', (isa) => {
  const opened = new Map<number, Backend>();
  const backendOf = async (threads: number): Promise<Backend> => {
    const backend = opened.get(threads) ?? (await cpuBackend.create({ isa, threads }));
    opened.set(threads, backend);
    return backend;
  };
  afterAll(() => {
    for (const backend of opened.values()) backend.close();
  });
  const openModel = async (model: TinyModel, threads = 2) =>
    open(await backendOf(threads), model.graph, model.weights, {
      tokensPerMicroBatchMax: 128,
      kvPageCount: 160,
    });

  describe.each(models)('%s', (_, model) => {
    const { vocabSize } = model.graph.sizes;
    const tokenIds = new SeededRandom(3).tokenIds(promptTokens, vocabSize);

    it('same logits however the prompt is cut and wherever its pages are', async () => {
      const colocated = await openModel(model);
      const expected = promptLogits(colocated, tokenIds, { kvPages: pagesOfPrompt });
      for (const chunkTokens of [1, 7, 16, 33]) {
        const kvPages = pagesOfPrompt.map((page) => page + chunkTokens);
        const found = promptLogits(colocated, tokenIds, { chunkTokens, kvPages });
        expectSameBits(found, expected, `chunks of ${chunkTokens}`);
      }
    });

    it('same logits on 1, 2 and 3 threads', async () => {
      const expected = promptLogits(await openModel(model, 1), tokenIds);
      for (const threads of [2, 3]) {
        const found = promptLogits(await openModel(model, threads), tokenIds);
        expectSameBits(found, expected, `${threads} threads`);
      }
    });

    it('same logits for a decoded token among any number of others', async () => {
      const colocated = await openModel(model);
      const prompt = tokenIds.slice(0, -1);
      promptLogits(colocated, prompt, { kvPages: pagesOfPrompt });
      const own: BatchedSequence = {
        tokenIds: tokenIds.slice(-1),
        firstPosition: prompt.length,
        kvPages: pagesOfPrompt,
      };
      const alone = colocated.run(microBatch({ sequences: [own] }));
      for (const rowCount of rowCounts) {
        const sequences: BatchedSequence[] = Array.from({ length: rowCount - 1 }, (_row, i) => ({
          tokenIds: [(i * 17) % vocabSize],
          kvPages: [10 + i],
          logits: 'none',
        }));
        sequences.splice(Math.floor(rowCount / 3), 0, own);
        const found = colocated.run(microBatch({ sequences }));
        expectSameBits(found, alone, `${rowCount} rows`);
      }
    });

    it('same answers for a row of an expert among any number of others', async () => {
      const run = await expertRows(await backendOf(2), model);
      const { expertCount } = model.graph.sizes;
      for (const expert of [0, expertCount - 1]) {
        const alone = run(1, () => expert);
        for (const rowCount of rowCounts) {
          const allThere = run(rowCount, () => expert);
          expectSameBits(allThere.slice(0, alone.length), alone, `${rowCount} rows, one expert`);
          const spread = run(rowCount, (row) => (row === 0 ? expert : row % expertCount));
          expectSameBits(spread.slice(0, alone.length), alone, `${rowCount} rows, all experts`);
        }
      }
    });
  });
});

it('AVX2 and AVX-512 give the same bits: one formula, one order', async () => {
  const isas = (await machineIsas()).filter((isa) => isa === 'avx2' || isa === 'avx512');
  const tokenIds = new SeededRandom(8).tokenIds(40, wide.graph.sizes.vocabSize);
  const logits = await Promise.all(
    isas.map(async (isa) => {
      const backend = await cpuBackend.create({ isa, threads: 2 });
      return promptLogits(await open(backend, wide.graph, wide.weights), tokenIds);
    }),
  );
  for (const found of logits) expectSameBits(found, logits[0] ?? found, isas.join(' and '));
  expect(logits).toHaveLength(isas.length);
});

/**
 * Runs rows 0 … rowCount of one slot through the experts of the first layer → their answers in
 * order of row.
 */
async function expertRows(
  backend: Backend,
  model: TinyModel,
): Promise<(rowCount: number, expertOf: (row: number) => number) => Float32Array> {
  const { hiddenSize, expertCount } = model.graph.sizes;
  const rowsMax = Math.max(...rowCounts);
  const program = partition(model.graph).expert;
  const all = Array.from({ length: expertCount }, (_, id) => expertId(id));
  const stage = await backend.createExpertStage({
    program,
    weights: model.weights,
    experts: program.stages.map(() => all),
    rowsMax,
  });
  const hidden = backend.allocate(rowsMax * hiddenSize * 2);
  const answers = backend.allocate(rowsMax * hiddenSize * 2);
  stage.bindSlots([{ hidden, answers }]);
  const random = new SeededRandom(12);
  const values = Float32Array.from({ length: rowsMax * hiddenSize }, () => random.normal());
  const bits = new Uint32Array(values.buffer);
  const hiddenBytes = hostBytes(hidden);
  new Uint16Array(hiddenBytes.buffer, hiddenBytes.byteOffset, values.length).set(
    Uint16Array.from(bits, (word) => word >>> 16),
  );
  return (rowCount, expertOf) => {
    const rows = Array.from({ length: rowCount }, (_, row) => row);
    rows.sort((a, b) => expertOf(a) - expertOf(b) || a - b);
    const rowsPerExpert = new Int32Array(expertCount);
    for (const row of rows) {
      const expert = expertOf(row);
      rowsPerExpert[expert] = (rowsPerExpert[expert] ?? 0) + 1;
    }
    hostBytes(answers).fill(0);
    stage.run(layerIndex(0), {
      layer: layerIndex(0),
      rowCount,
      rowsPerExpert,
      slotIndex: new Int32Array(rowCount),
      hiddenRow: Int32Array.from(rows),
      answerRow: Int32Array.from(rows),
    });
    return readBf16(answers).subarray(0, rowCount * hiddenSize);
  };
}
