import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { indexOfMax } from '../../../../tools/goldens/numbers.js';
import { readGoldens, readLogits } from '../../../../tools/goldens/read-goldens.js';
import {
  buildModelGraph,
  randomWeightSource,
  referenceBackend,
  type Backend,
  type ModelGraph,
} from '../../src/index.js';
import { expectSameBits } from '../../src/testing/backend/expect-numbers.js';
import {
  microBatch,
  openColocated,
  promptLogits,
  type Colocated,
} from '../../src/testing/index.js';

/** Every logit of the reference is this close to that of Transformers in f32. */
const logitBound = 2e-4;
/** A greedy token must be the same where two logits so far off could not change it. */
const tokenMargin = 2 * logitBound;

const goldens = readGoldens();

describe('reference against Transformers', () => {
  it('has cases of both families', () => {
    expect(goldens.length).toBeGreaterThanOrEqual(12);
    expect(new Set(goldens.map(({ config }) => graphOf(config).family)).size).toBe(2);
  });

  describe.each(goldens)('$name ($purpose)', (golden) => {
    const expected = readLogits(golden);
    const graph = graphOf(golden.config);
    let backend: Backend;
    let colocated: Colocated;

    beforeAll(async () => {
      backend = await referenceBackend.create();
      colocated = await openColocated({
        backend,
        model: graph,
        weights: randomWeightSource(graph, golden.seed),
        tokensPerMicroBatchMax: 300,
      });
    });
    afterAll(() => {
      backend.close();
    });

    it.each(golden.prompts)('prompt of $promptTokens.length tokens, and greedy steps', (prompt) => {
      const { promptTokens, firstPosition, firstRow, promptRows, greedyRows } = prompt;
      expect(greedyRows).toBe(prompt.greedyTokens.length);
      const logits = promptLogits(colocated, promptTokens);
      const rows = logits.subarray(firstPosition * golden.logitsShape[1]);
      expectClose(rows, expected(firstRow, promptRows), 'prompt');
      expectSameBits(promptLogits(colocated, promptTokens, { chunkTokens: 33 }), logits, 'chunks');

      let best: Float32Array = rows.slice(-golden.logitsShape[1]);
      prompt.greedyTokens.forEach((token, step) => {
        if ((prompt.tokenMargins[step] as number) > tokenMargin) {
          expect(indexOfMax(best), `greedy token ${step}`).toBe(token);
        }
        best = decode(colocated, promptTokens.length + step, token);
        expectClose(best, expected(firstRow + promptRows + step, 1), `after greedy token ${step}`);
      });
    });
  });
});

function graphOf(config: unknown): ModelGraph {
  return buildModelGraph(config);
}

/** One token at a position of the sequence on the first pages → its logits. */
function decode(colocated: Colocated, position: number, token: number): Float32Array {
  const kvPages = Array.from(
    { length: Math.ceil((position + 1) / colocated.kvPageSize) },
    (_, page) => page,
  );
  const sequence = { tokenIds: [token], firstPosition: position, kvPages };
  return colocated.run(microBatch({ sequences: [sequence] }));
}

function expectClose(found: Float32Array, expected: Float32Array, what: string): void {
  expect(found.length, `${what}: length`).toBe(expected.length);
  let largest = 0;
  expected.forEach((value, i) => {
    largest = Math.max(largest, Math.abs(value - (found[i] as number)));
  });
  expect(largest, `${what}: largest difference`).toBeLessThanOrEqual(logitBound);
}
