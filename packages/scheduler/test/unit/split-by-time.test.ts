import { sequenceId, type StepCost } from '@megascale/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  admitSequence,
  keysSeenBy,
  splitMicroBatches,
  startSequence,
  type SequenceTokens,
} from '../../src/index.js';

const work = (
  id: number,
  firstPosition: number,
  tokens: number,
  lowestMicroBatch = 0,
): SequenceTokens => {
  const request = {
    id: sequenceId(id),
    promptTokens: [],
    maxTokens: 9,
    eosTokenIds: [],
    ignoreEos: false,
    arrivedAtMs: 0,
    sampling: {},
  };
  const sequence = startSequence(admitSequence(request, id));
  return { sequence, firstPosition, tokens, lowestMicroBatch };
};

const cost: StepCost = { fixedUs: 40, tokenUs: 2, contextTokenUs: 0.01 };
const usOf = ({ firstPosition, tokens }: SequenceTokens): number =>
  cost.tokenUs * tokens + cost.contextTokenUs * keysSeenBy(firstPosition, tokens);
const total = (parts: readonly SequenceTokens[], of: (part: SequenceTokens) => number): number =>
  parts.reduce((sum, part) => sum + of(part), 0);
const written = (parts: readonly (readonly SequenceTokens[])[]) =>
  parts.map((batch) =>
    batch.map(
      ({ sequence: { history }, firstPosition, tokens }) =>
        `${history.request.id}:${firstPosition}+${tokens}`,
    ),
  );

describe('dividing a step by predicted time', () => {
  it('puts a long context against many short ones', () => {
    const given = [
      work(1, 1000, 1),
      work(2, 10, 1),
      work(3, 10, 1),
      work(4, 10, 1),
      work(5, 10, 1),
    ];
    expect(written(splitMicroBatches(given, 2, 8, cost))).toEqual([
      ['1:1000+1'],
      ['2:10+1', '3:10+1', '4:10+1', '5:10+1'],
    ]);
  });

  it('cuts a chunk where its later, dearer tokens are as long as its earlier ones', () => {
    const steep = { fixedUs: 0, tokenUs: 0, contextTokenUs: 1 };
    // 1 + 2 + … + 10 = 55; seven tokens take 28, the other three 27.
    expect(written(splitMicroBatches([work(1, 0, 10)], 2, 10, steep))).toEqual([
      ['1:0+7'],
      ['1:7+3'],
    ]);
  });

  it('keeps a token that is being sampled in its micro-batch or a later one', () => {
    const given = [work(1, 5, 1, 1), work(2, 500, 1, 1), work(3, 900, 1)];
    const [first = [], second = []] = splitMicroBatches(given, 2, 8, cost);
    expect(written([first])).toEqual([['3:900+1']]);
    expect(second).toHaveLength(2);
  });

  const integer = (min: number, max: number) => fc.integer({ min, max });
  const decodes = fc.array(fc.record({ context: integer(0, 4000), bound: integer(0, 7) }), {
    maxLength: 20,
  });
  const chunks = fc.array(fc.record({ context: integer(0, 2000), tokens: integer(2, 90) }), {
    maxLength: 5,
  });

  it('places every token once, in order, within the limit, and leaves none empty', () => {
    fc.assert(
      fc.property(
        decodes,
        chunks,
        integer(1, 8),
        integer(0, 5),
        fc.boolean(),
        (ones, many, m, spare, binds) => {
          const given = [
            ...many.map(({ context, tokens }, id) => work(id, context, tokens)),
            ...ones.map(({ context, bound }, i) => work(90 + i, context, 1, binds ? bound % m : 0)),
          ];
          const tokens = total(given, (part) => part.tokens);
          // Bound tokens came from micro-batches that held them.
          const mostBound = Math.max(0, ...ones.map((_, i) => (binds ? i + 1 : 0)));
          const limit = Math.max(1, Math.ceil(tokens / m), mostBound) + spare;
          const batches = splitMicroBatches(given, m, limit, cost);
          const lowest = Math.max(-1, ...given.map((part) => part.lowestMicroBatch ?? 0));
          expect(batches.length).toBe(tokens === 0 ? 0 : Math.max(Math.min(m, tokens), lowest + 1));
          for (const [index, batch] of batches.entries()) {
            expect(total(batch, (part) => part.tokens)).toBeLessThanOrEqual(limit);
            if (!binds) expect(batch.length).toBeGreaterThan(0);
            for (const part of batch) expect(part.lowestMicroBatch ?? 0).toBeLessThanOrEqual(index);
          }
          for (const { sequence, firstPosition, tokens: wanted } of given) {
            const parts = batches.flatMap((batch) =>
              batch.filter((part) => part.sequence === sequence),
            );
            let next = firstPosition;
            for (const part of parts) {
              expect(part.firstPosition).toBe(next);
              next += part.tokens;
            }
            expect(next).toBe(firstPosition + wanted);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('has no micro-batch that takes longer than the mean and the longest token together', () => {
    fc.assert(
      fc.property(decodes, chunks, integer(1, 8), (ones, many, m) => {
        const given = [
          ...many.map(({ context, tokens }, id) => work(id, context, tokens)),
          ...ones.map(({ context }, i) => work(90 + i, context, 1)),
        ];
        fc.pre(given.length > 0);
        const batches = splitMicroBatches(given, m, 1000, cost);
        const longest = Math.max(
          ...given.map(({ firstPosition, tokens }) => usOf(work(0, firstPosition + tokens - 1, 1))),
        );
        const mean = total(given, usOf) / batches.length;
        for (const batch of batches) {
          expect(total(batch, usOf)).toBeLessThanOrEqual(mean + longest + 1e-6);
        }
      }),
      {
        numRuns: 300,
        // Rounding down at every cut but the last: what is left over must not gather in the last.
        examples: [
          [
            [],
            [
              { context: 316, tokens: 44 },
              { context: 346, tokens: 21 },
            ],
            8,
          ],
        ],
      },
    );
  });
});
