import type { Backend, WeightSource } from '@megascale/core';
import { microBatch, tinyMixtral, type BatchedSequence } from '@megascale/core/testing';
import fc from 'fast-check';
import { afterAll, describe, it } from 'vitest';
import { cpuBackend } from '../../src/index.js';
import { expectSameBits, open } from '../support/compare.js';
import { testedIsas } from '../support/isas.js';
import { quantizedWeights } from '../support/quantized-weights.js';

const model = tinyMixtral({ seed: 9, config: { hidden_size: 96, intermediate_size: 160 } });
const { vocabSize } = model.graph.sizes;
const tokensMax = 160;

const formats: readonly (readonly [name: string, weights: WeightSource])[] = [
  ['as they are', model.weights],
  ['in 8 bits', quantized('I8')],
  ['in 4 bits', quantized('I4')],
];

/**
 * One sequence that is looked at, the others beside it, where it stands among them, and how it is
 * cut.
 */
const batches = fc.record({
  own: fc.array(fc.nat(vocabSize - 1), { minLength: 2, maxLength: 48 }),
  others: fc.array(fc.array(fc.nat(vocabSize - 1), { minLength: 1, maxLength: 9 }), {
    maxLength: 12,
  }),
  place: fc.nat(12),
  cut: fc.nat(46),
});

describe.each(await testedIsas())('any batch on %s', (isa) => {
  const backends: Backend[] = [];
  afterAll(() => {
    for (const backend of backends) backend.close();
  });

  it.each(formats)(
    'leaves a sequence its logits, weights %s, on 1 to 4 threads',
    async (_, weights) => {
      const openOn = async (threads: number) => {
        const backend = await cpuBackend.create({ isa, threads });
        backends.push(backend);
        return open(backend, model.graph, weights, {
          tokensPerMicroBatchMax: tokensMax,
          kvPageCount: 32,
        });
      };
      const alone = await openOn(1);
      const shared = await Promise.all([1, 2, 3, 4].map(openOn));
      fc.assert(
        fc.property(
          batches,
          fc.constantFrom(...shared),
          ({ own, others, place, cut }, colocated) => {
            const expected = alone.run(
              microBatch({ sequences: [{ tokenIds: own, kvPages: [0, 1, 2], logits: 'last' }] }),
            );
            // The first part alone in its step, the rest among others, and its pages elsewhere.
            const firstPosition = Math.min(cut, own.length - 1);
            const kvPages = [7, 3, 5];
            if (firstPosition > 0) {
              const begin: BatchedSequence = { tokenIds: own.slice(0, firstPosition), kvPages };
              colocated.run(microBatch({ sequences: [begin] }));
            }
            const sequences: BatchedSequence[] = others.map((tokenIds, i) => ({
              tokenIds,
              kvPages: [10 + i],
              logits: 'none',
            }));
            const rest: BatchedSequence = {
              tokenIds: own.slice(firstPosition),
              firstPosition,
              kvPages,
              logits: 'last',
            };
            sequences.splice(place % (others.length + 1), 0, rest);
            expectSameBits(
              colocated.run(microBatch({ sequences })),
              expected,
              'logits of the last token',
            );
          },
        ),
        { numRuns: 15 },
      );
    },
  );
});

function quantized(dtype: 'I8' | 'I4'): WeightSource {
  const { weights } = quantizedWeights(model.weights, ({ name, shape }) =>
    shape.length === 2 && !name.includes('embed') ? { dtype, groups: 1 } : undefined,
  );
  return weights;
}
