import {
  randomWeightSource,
  referenceBackend,
  type Backend,
  type KvCacheDtype,
} from '@megascale/core';
import { microBatch, promptLogits, SeededRandom } from '@megascale/core/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { cpuBackend } from '../../src/index.js';
import { distance, expectSameBits, open } from '../support/compare.js';
import { testedIsas } from '../support/isas.js';
import { opModel, opsUnderTest, type OpModelSizes } from '../support/op-models.js';

const tokens = 300;
const vocab = 64;
const kvDTypes: readonly KvCacheDtype[] = ['bf16', 'int8'];

/**
 * Groups of 1, 3, 4 and 7 heads; head sizes that fill vectors and that do not; windows across tiles
 * and ranges.
 */
const shapes: readonly Pick<OpModelSizes, 'heads' | 'kvHeads' | 'headSize' | 'window'>[] = [
  { heads: 4, kvHeads: 1, headSize: 16 },
  { heads: 2, kvHeads: 2, headSize: 22, window: 70 },
  { heads: 3, kvHeads: 1, headSize: 34, window: 257 },
  { heads: 7, kvHeads: 1, headSize: 6 },
];

function modelOf(shape: (typeof shapes)[number]) {
  const graph = opModel(opsUnderTest.pagedAttention, {
    ...shape,
    experts: 2,
    topK: 2,
    width: 4,
    vocab,
  });
  return { graph, weights: randomWeightSource(graph, 11) };
}

/** Page ids 0 … count in an order of their own for each seed. */
function shuffledPages(count: number, seed: number): readonly number[] {
  const random = new SeededRandom(seed);
  const keyed = Array.from({ length: count }, (_, page) => ({ page, key: random.normal() }));
  return keyed.sort((a, b) => a.key - b.key).map(({ page }) => page);
}

describe.each(await testedIsas())('paged attention on %s', (isa) => {
  const opened: Promise<Backend>[] = [];
  const create = (made: Promise<Backend>): Promise<Backend> => {
    opened.push(made);
    return made;
  };
  afterAll(async () => {
    for (const backend of await Promise.all(opened)) backend.close();
  });
  const openShape = async (backend: Backend, shape: (typeof shapes)[number], options = {}) => {
    const { graph, weights } = modelOf(shape);
    const sizes = { kvPageCount: 64, tokensPerMicroBatchMax: tokens, ...options };
    return open(backend, graph, weights, sizes);
  };

  describe.each(shapes)('$heads heads, $kvHeads KV heads of $headSize, window $window', (shape) => {
    const tokenIds = new SeededRandom(4).tokenIds(tokens, vocab);

    it.each(kvDTypes)('does not depend on pages, cuts or threads, %s', async (kvCacheDtype) => {
      const one = await create(cpuBackend.create({ isa, threads: 1 }));
      const expected = promptLogits(await openShape(one, shape, { kvCacheDtype }), tokenIds);
      const cuts = [
        { kvPageSize: 16, chunkTokens: 1, threads: 1 },
        { kvPageSize: 48, chunkTokens: 7, threads: 2 },
        { kvPageSize: 32, chunkTokens: 64, threads: 3 },
        { kvPageSize: 256, chunkTokens: 255, threads: 2 },
      ];
      for (const { kvPageSize, chunkTokens, threads } of cuts) {
        const backend = await create(cpuBackend.create({ isa, threads }));
        const colocated = await openShape(backend, shape, { kvCacheDtype, kvPageSize });
        const kvPages = shuffledPages(Math.ceil(tokens / kvPageSize) + 3, chunkTokens);
        const found = promptLogits(colocated, tokenIds, { chunkTokens, kvPages });
        expectSameBits(found, expected, `chunks of ${chunkTokens}, pages of ${kvPageSize}`);
      }
    });

    it('rounds keys and values to 8 bits as the reference does', async () => {
      const cpu = await create(cpuBackend.create({ isa, threads: 2 }));
      const reference = await create(referenceBackend.create());
      const options = { kvCacheDtype: 'int8' as const };
      const short = tokenIds.slice(0, 100);
      const found = promptLogits(await openShape(cpu, shape, options), short);
      const expected = promptLogits(await openShape(reference, shape, options), short);
      expect(distance(found, expected)).toBeLessThanOrEqual(0.04);
    });
  });

  it('decodes on both sides of the ends of ranges as a prompt does', async () => {
    const backend = await create(cpuBackend.create({ isa, threads: 2 }));
    const { graph, weights } = modelOf({ heads: 4, kvHeads: 2, headSize: 8 });
    const colocated = await open(backend, graph, weights, {
      kvPageCount: 64,
      tokensPerMicroBatchMax: 512,
    });
    const contexts = [15, 16, 17, 63, 64, 65, 255, 256, 257, 511];
    const tokenIds = new SeededRandom(5).tokenIds(512, vocab);
    const kvPages = shuffledPages(32, 1);
    const expected = promptLogits(colocated, tokenIds, { kvPages });
    for (const context of contexts) {
      const decoded = { tokenIds: tokenIds.slice(context, context + 1), firstPosition: context };
      const found = colocated.run(microBatch({ sequences: [{ ...decoded, kvPages }] }));
      const row = expected.subarray(context * vocab, (context + 1) * vocab);
      expectSameBits(found, row, `context ${context}`);
    }
  });
});
