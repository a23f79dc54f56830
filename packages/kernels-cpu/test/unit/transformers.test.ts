import {
  buildModelGraph,
  randomWeightSource,
  referenceBackend,
  type Backend,
} from '@megascale/core';
import { microBatch, openColocated } from '@megascale/core/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { divergencesOf, indexOfMax, meanOf } from '../../../../tools/goldens/numbers.js';
import { readGoldens, readLogits } from '../../../../tools/goldens/read-goldens.js';
import { cpuBackend } from '../../src/index.js';
import { testedIsas } from '../support/isas.js';
import { SameRoutes } from '../support/same-routes.js';

/**
 * The backend in bf16 against Transformers in f32, on the same bf16-rounded weights. Experts are
 * those that f32 chooses (`SameRoutes`); where the backend would choose others, the choice must
 * have been nearly a tie.
 */
const meanDivergenceBound = 1e-3;
/** A greedy token must be the same where the best logit leads by more than this. */
const tokenMargin = 0.2;
/**
 * Probability between the last expert chosen and the first left out below which bf16 may choose
 * otherwise.
 */
const routingMargin = 0.02;

const kvPageSize = 16;
const goldens = readGoldens();

describe.each(await testedIsas())('cpu (%s) against Transformers', (isa) => {
  describe.each(goldens)('$name ($purpose)', (golden) => {
    const expected = readLogits(golden);
    const [, vocabSize] = golden.logitsShape;
    const graph = buildModelGraph(golden.config);
    const weights = randomWeightSource(graph, golden.seed);
    const backends: Backend[] = [];
    let both: SameRoutes;

    beforeAll(async () => {
      backends.push(await cpuBackend.create({ threads: 1, isa }), await referenceBackend.create());
      const [tested, reference] = await Promise.all(
        backends.map((backend) =>
          openColocated({ backend, model: graph, weights, tokensPerMicroBatchMax: 300 }),
        ),
      );
      if (tested === undefined || reference === undefined) throw new Error('two were opened');
      both = new SameRoutes(tested, reference, graph, weights);
    });
    afterAll(() => {
      for (const backend of backends) backend.close();
    });

    it('says nearly the same, and the same where it matters', () => {
      const divergences: number[] = [];
      const margins: number[] = [];
      const run = (tokenIds: readonly number[], position: number): Float32Array => {
        const result = both.run(batchAt(tokenIds, position));
        margins.push(...result.margins);
        return result.logits;
      };
      for (const prompt of golden.prompts) {
        const { promptTokens, firstPosition, firstRow, promptRows, greedyTokens } = prompt;
        let found: Float32Array = run(promptTokens, 0).slice(firstPosition * vocabSize);
        divergences.push(...divergencesOf(expected(firstRow, promptRows), found, vocabSize));
        for (const [step, token] of greedyTokens.entries()) {
          if ((prompt.tokenMargins[step] ?? 0) > tokenMargin) {
            expect(indexOfMax(found.slice(-vocabSize)), `greedy token ${String(step)}`).toBe(token);
          }
          found = run([token], promptTokens.length + step);
          const row = expected(firstRow + promptRows + step, 1);
          divergences.push(...divergencesOf(row, found, vocabSize));
        }
      }
      expect(meanOf(divergences)).toBeLessThanOrEqual(meanDivergenceBound);
      expect(Math.max(0, ...margins)).toBeLessThanOrEqual(routingMargin);
    });
  });
});

/** Tokens of the sequence on the first pages, from a position on, with all their logits. */
function batchAt(tokenIds: readonly number[], position: number): ReturnType<typeof microBatch> {
  const pages = Math.ceil((position + tokenIds.length) / kvPageSize);
  const kvPages = Array.from({ length: pages }, (_, page) => page);
  const sequence = { tokenIds, firstPosition: position, kvPages, logits: 'all' as const };
  return microBatch({ sequences: [sequence] });
}
