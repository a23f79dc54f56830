import { layerIndex, microBatchIndex, randomWeightSource, type ModelGraph } from '@megascale/core';
import { microBatch, SeededRandom } from '@megascale/core/testing';
import { describe, expect, it } from 'vitest';
import { cpuBackend } from '../src/index.js';
import { expectSameBits, open, readBf16 } from './support/compare.js';
import { emulatedTiles, testedIsas } from './support/isas.js';
import { opModel, opsUnderTest } from './support/op-models.js';

const tokens = 3;

/** The epilogue norms what the layer normed, so that a test sees the input of the LM head in the slot. */
function model(headSize: number): ModelGraph {
  const sizes = { heads: 1, kvHeads: 1, headSize, experts: 2, topK: 1, width: 4, vocab: 70 };
  const graph = opModel(opsUnderTest.rmsNorm, sizes);
  const nodes = graph.epilogue.nodes.map((node) =>
    node.op === 'rmsNorm'
      ? { ...node, weight: { name: 'norm.weight', shape: node.weight.shape } }
      : node,
  );
  return { ...graph, epilogue: { ...graph.epilogue, nodes } };
}

describe.each(await testedIsas())('a multiply on %s', (isa) => {
  it.each([2, 30, 32, 34, 96, 200])(
    'adds %i products in the order the README states',
    async (hidden) => {
      const graph = model(hidden);
      const weights = randomWeightSource(graph, 17);
      const backend = await cpuBackend.create({ isa, threads: 1 });
      const colocated = await open(backend, graph, weights);
      const tokenIds = new SeededRandom(2).tokenIds(tokens, graph.sizes.vocabSize);
      colocated.attention.embed(microBatch({ sequences: [{ tokenIds, kvPages: [0] }] }));
      colocated.attention.attend(layerIndex(0), microBatchIndex(0));
      const [slot] = colocated.slots;
      if (slot === undefined) throw new RangeError('There is no slot.');
      const x = readBf16(slot.hidden);
      const head = weights.locate('head.weight', [graph.sizes.vocabSize, hidden]);
      const w = readBf16({ memory: 'host', byteLength: 0, bytes: weights.read(head) });
      const dot = isa === emulatedTiles || isa === 'amx' ? dotInTiles : dotInOrder;
      const expected = Float32Array.from({ length: tokens * graph.sizes.vocabSize }, (_, i) => {
        const [row, column] = [Math.floor(i / graph.sizes.vocabSize), i % graph.sizes.vocabSize];
        return dot(
          x.subarray(row * hidden, (row + 1) * hidden),
          w.subarray(column * hidden, (column + 1) * hidden),
        );
      });
      expectSameBits(colocated.attention.logits(microBatchIndex(0)), expected, 'logits');
      expect(expected.some((value) => value !== 0)).toBe(true);
      backend.close();
    },
  );
});

/** One chain over ascending k. A product of two bf16 is exact, so it does not matter whether an FMA adds it. */
function dotInOrder(x: Float32Array, w: Float32Array): number {
  return x.reduce((sum, value, k) => Math.fround(sum + value * (w[k] ?? 0)), 0);
}

/** Per 32 k: a chain of the even ones, a chain of the odd ones, both added, then to the sum. */
function dotInTiles(x: Float32Array, w: Float32Array): number {
  let sum = 0;
  for (let tile = 0; tile < x.length; tile += 32) {
    const chains = [0, 0] as [number, number];
    x.subarray(tile, tile + 32).forEach((value, k) => {
      const odd = k % 2 === 1 ? 1 : 0;
      chains[odd] = Math.fround(chains[odd] + value * (w[tile + k] ?? 0));
    });
    sum = Math.fround(sum + Math.fround(chains[0] + chains[1]));
  }
  return sum;
}
