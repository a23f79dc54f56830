import {
  layerIndex,
  microBatchIndex,
  randomWeightSource,
  type ModelGraph,
  type WeightSource,
} from '@megascale/core';
import { microBatch, SeededRandom } from '@megascale/core/testing';
import { describe, expect, it } from 'vitest';
import { cpuBackend } from '../../src/index.js';
import { expectSameBits, open, readBf16 } from '../support/compare.js';
import { emulatedTiles, testedIsas } from '../support/isas.js';
import { opModel, opsUnderTest } from '../support/op-models.js';

const tokens = 3;
/** The least normal f32: tiles count what is smaller as 0. */
const leastNormal = 2 ** -126;

/**
 * The epilogue norms what the layer normed, so that a test sees the input of the LM head in the
 * slot.
 */
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

/**
 * The same weights with those of the LM head so small that their products are subnormal, or nearly.
 */
function withTinyHead(weights: WeightSource): WeightSource {
  return {
    ...weights,
    read: (location) => {
      const bytes = weights.read(location);
      if (location.name !== 'head.weight') return bytes;
      const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
      // Exponents of 0, 1, 2, …: subnormal weights and the smallest normal ones.
      halves.forEach((bits, i) => (halves[i] = (bits & 0x807f) | ((i % 5) << 7)));
      return bytes;
    },
  };
}

/** Logits of a prompt, and what they should be to the bit. */
async function found(
  isa: string,
  graph: ModelGraph,
  weights: WeightSource,
): Promise<{ readonly logits: Float32Array; readonly expected: Float32Array }> {
  const { hiddenSize: hidden, vocabSize } = graph.sizes;
  const backend = await cpuBackend.create({ isa, threads: 1 });
  const colocated = await open(backend, graph, weights);
  const tokenIds = new SeededRandom(2).tokenIds(tokens, vocabSize);
  colocated.attention.embed(microBatch({ sequences: [{ tokenIds, kvPages: [0] }] }));
  colocated.attention.attend(layerIndex(0), microBatchIndex(0));
  const [slot] = colocated.slots;
  if (slot === undefined) throw new RangeError('There is no slot.');
  const x = readBf16(slot.hidden);
  const head = weights.locate('head.weight', [vocabSize, hidden]);
  const w = readBf16({ memory: 'host', byteLength: 0, bytes: weights.read(head) });
  const dot = dots.get(isa) ?? dotInOrder;
  const expected = Float32Array.from({ length: tokens * vocabSize }, (_, i) => {
    const [row, column] = [Math.floor(i / vocabSize), i % vocabSize];
    return dot(
      x.subarray(row * hidden, (row + 1) * hidden),
      w.subarray(column * hidden, (column + 1) * hidden),
    );
  });
  const logits = colocated.attention.logits(microBatchIndex(0)).slice();
  backend.close();
  return { logits, expected };
}

describe.each(await testedIsas())('a multiply on %s', (isa) => {
  it.each([2, 30, 32, 34, 96, 200])(
    'adds %i products in the order that the README states',
    async (hidden) => {
      const graph = model(hidden);
      const { logits, expected } = await found(isa, graph, randomWeightSource(graph, 17));
      expectSameBits(logits, expected, 'logits');
      expect(expected.some((value) => value !== 0)).toBe(true);
    },
  );

  it('treats subnormal numbers as its instruction set does', async () => {
    const graph = model(66);
    const { logits, expected } = await found(
      isa,
      graph,
      withTinyHead(randomWeightSource(graph, 17)),
    );
    expect(expected.some((value) => value !== 0 && Math.abs(value) < 2 ** -120)).toBe(true);
    expectSameBits(logits, expected, 'logits');
  });
});

/** Where products are not added one after the other. */
const dots: ReadonlyMap<string, (x: Float32Array, w: Float32Array) => number> = new Map([
  [emulatedTiles, dotInTiles],
  ['amx', dotInTiles],
  ['avx512bf16', dotInPairs],
]);

/**
 * One chain over ascending k. A product of two bf16 is exact, so it does not matter whether an FMA
 * adds it.
 */
function dotInOrder(x: Float32Array, w: Float32Array): number {
  return x.reduce((sum, value, k) => Math.fround(sum + value * (w[k] ?? 0)), 0);
}

/**
 * One chain over ascending pairs of k, the second of a pair first. Subnormal numbers are 0; the
 * zeros of the padding make −0 to 0.
 */
function dotInPairs(x: Float32Array, w: Float32Array): number {
  const product = (k: number): number => flushed(x[k] ?? 0) * flushed(w[k] ?? 0);
  let sum = 0;
  for (let pair = 0; pair < Math.ceil(x.length / 32) * 32; pair += 2) {
    sum = flushed(flushed(sum + product(pair + 1)) + product(pair));
  }
  return sum;
}

/**
 * Per 32 k: a chain of the even ones, a chain of the odd ones, both added, then to the sum.
 * Subnormal numbers are 0.
 */
function dotInTiles(x: Float32Array, w: Float32Array): number {
  let sum = 0;
  for (let tile = 0; tile < x.length; tile += 32) {
    const chains = [0, 0] as [number, number];
    x.subarray(tile, tile + 32).forEach((value, k) => {
      const odd = k % 2 === 1 ? 1 : 0;
      chains[odd] = flushed(chains[odd] + flushed(value) * flushed(w[tile + k] ?? 0));
    });
    sum = flushed(sum + flushed(chains[0] + chains[1]));
  }
  return sum;
}

/** Rounded to f32, 0 where that is subnormal. */
function flushed(value: number): number {
  const rounded = Math.fround(value);
  return Math.abs(rounded) < leastNormal ? 0 * Math.sign(rounded) : rounded;
}
