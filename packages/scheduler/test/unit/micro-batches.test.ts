import { kvPageId, microBatchIndex, sequenceId } from '@megascale/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  admitSequence,
  IntArrays,
  positionOfLogits,
  splitMicroBatches,
  startSequence,
  toMicroBatch,
  type RunningSequence,
  type SequenceTokens,
} from '../../src/index.js';

interface Given {
  readonly id: number;
  readonly tokens: readonly number[];
  readonly pages?: readonly number[];
  readonly outputTokens?: readonly number[];
  readonly promptLogits?: boolean;
}

function sequence({
  id,
  tokens,
  pages = [],
  outputTokens = [],
  promptLogits = false,
}: Given): RunningSequence {
  const request = {
    id: sequenceId(id),
    promptTokens: tokens,
    outputTokens,
    maxTokens: 9,
    eosTokenIds: [],
    ignoreEos: false,
    arrivedAtMs: 0,
    sampling: {},
    promptLogits,
  };
  const running = startSequence(admitSequence(request, id));
  for (const page of pages) running.table.kvPages.push(running.slot, kvPageId(page));
  return running;
}

const work = (id: number, firstPosition: number, tokens: number): SequenceTokens => ({
  sequence: sequence({ id, tokens: [] }),
  firstPosition,
  tokens,
});

/** 'id:first+tokens', for reading. */
const written = (parts: readonly (readonly SequenceTokens[])[]) =>
  parts.map((batch) =>
    batch.map(
      ({ sequence: { history }, firstPosition, tokens }) =>
        `${history.request.id}:${firstPosition}+${tokens}`,
    ),
  );

describe('dividing a step over micro-batches', () => {
  it.each([
    { name: 'no work', given: [], m: 3, expected: [] },
    { name: 'one token', given: [work(1, 5, 1)], m: 3, expected: [['1:5+1']] },
    {
      name: 'decoding sequences in turn',
      given: [1, 2, 3, 4, 5].map((id) => work(id, 9, 1)),
      m: 2,
      expected: [
        ['1:9+1', '3:9+1', '5:9+1'],
        ['2:9+1', '4:9+1'],
      ],
    },
    {
      name: 'one chunk, cut, the earlier part first',
      given: [work(1, 4, 7)],
      m: 3,
      expected: [['1:4+3'], ['1:7+2'], ['1:9+2']],
    },
    {
      name: 'chunks around decoding sequences',
      given: [work(1, 0, 5), work(2, 9, 1), work(3, 8, 1), work(4, 2, 3)],
      m: 2,
      expected: [
        ['2:9+1', '1:0+4'],
        ['3:8+1', '1:4+1', '4:2+3'],
      ],
    },
  ])('divides $name', ({ given, m, expected }) => {
    expect(written(splitMicroBatches(given, m, 8))).toEqual(expected);
  });

  it('refuses more tokens than the micro-batches hold', () => {
    expect(() => splitMicroBatches([work(1, 0, 9)], 2, 4)).toThrow(/9 tokens do not fit in 2/);
  });

  const count = (min: number, max: number) => fc.integer({ min, max });

  it('places every token once, evenly, within the limit, parts of a chunk in rising micro-batches', () => {
    const sizes = fc.array(count(1, 12), { maxLength: 12 });
    fc.assert(
      fc.property(sizes, count(1, 5), count(0, 3), (tokensOf, m, spare) => {
        const given = tokensOf.map((tokens, id) => work(id, id * 100, tokens));
        const total = tokensOf.reduce((sum, tokens) => sum + tokens, 0);
        const limit = Math.max(1, Math.ceil(total / m)) + spare;
        const batches = splitMicroBatches(given, m, limit);

        const batchTokens = batches.map((batch) =>
          batch.reduce((sum, { tokens }) => sum + tokens, 0),
        );
        expect(batches.length).toBe(Math.min(m, total));
        expect(Math.max(0, ...batchTokens) - Math.min(limit, ...batchTokens)).toBeLessThanOrEqual(
          batches.length === 0 ? 0 : 1,
        );
        for (const { sequence: own, firstPosition, tokens } of given) {
          const parts = batches.map((batch) => batch.filter((part) => part.sequence === own));
          expect(Math.max(0, ...parts.map(({ length }) => length))).toBe(1);
          // Read in the order of micro-batches, the parts are the chunk without a gap.
          let next = firstPosition;
          for (const part of parts.flat()) {
            expect(part.firstPosition).toBe(next);
            next += part.tokens;
          }
          expect(next).toBe(firstPosition + tokens);
        }
      }),
    );
  });
});

describe('a micro-batch for the backend', () => {
  it('has the tokens, positions and page tables of its sequences, one after the other', () => {
    const decoding = sequence({ id: 1, tokens: [10, 11, 12, 13, 14], pages: [7, 2, 5] });
    const chunk = sequence({ id: 2, tokens: [20, 21, 22, 23, 24], pages: [0, 9, 3] });
    const parts = [
      { sequence: decoding, firstPosition: 4, tokens: 1 },
      { sequence: chunk, firstPosition: 1, tokens: 2 },
    ];
    const { batch, logits } = toMicroBatch(microBatchIndex(1), parts, 2);
    expect(batch).toEqual({
      index: 1,
      tokenIds: Int32Array.of(14, 21, 22),
      positions: Int32Array.of(4, 1, 2),
      offsets: Int32Array.of(0, 1, 3),
      // The chunk's third page is for later positions.
      kvPages: Int32Array.of(7, 2, 5, 0, 9),
      kvPageOffsets: Int32Array.of(0, 3, 5),
      logitsRows: Int32Array.of(0),
    });
    expect(logits).toEqual([{ type: 'sample', history: decoding.history, sequence: decoding }]);
  });

  it('asks for logits of the last known token only, be it prompt or output', () => {
    const rows = (given: Given, firstPosition: number, tokens: number) => {
      const parts = [{ sequence: sequence(given), firstPosition, tokens }];
      const { logits, batch } = toMicroBatch(microBatchIndex(0), parts, 16);
      return logits.map(({ type }, row) => `${type} ${positionOfLogits(batch, row)}`);
    };
    const prompt = { id: 1, tokens: [1, 2, 3, 4], pages: [0] };
    expect(rows(prompt, 0, 3)).toEqual([]);
    expect(rows(prompt, 0, 4)).toEqual(['sample 3']);
    expect(rows({ ...prompt, outputTokens: [5, 6] }, 0, 6)).toEqual(['sample 5']);
    expect(rows({ ...prompt, promptLogits: true }, 1, 3)).toEqual([
      'prompt 1',
      'prompt 2',
      'sample 3',
    ]);
    // A preempted sequence: position 3 predicts the first output token, which is no prompt token.
    expect(rows({ ...prompt, promptLogits: true, outputTokens: [5] }, 1, 4)).toEqual([
      ...['prompt 1', 'prompt 2', 'sample 4'],
    ]);
  });

  it.each([
    {
      name: 'tokens',
      given: { id: 3, tokens: [1, 2], pages: [0, 1] },
      message: /no token at position 2/,
    },
    {
      name: 'pages',
      given: { id: 3, tokens: [1, 2, 3], pages: [0] },
      message: /has 1 KV pages, not 2/,
    },
  ])('cannot be made of $name that are not there', ({ given, message }) => {
    const parts = [{ sequence: sequence(given), firstPosition: 0, tokens: 3 }];
    expect(() => toMicroBatch(microBatchIndex(0), parts, 2)).toThrow(message);
  });

  it('samples nothing from tokens that are not the newest, as after a step that was abandoned', () => {
    const decoding = sequence({ id: 1, tokens: [0, 1, 2, 3, 4, 5, 6, 7], pages: [1, 2] });
    decoding.computedTokens = 7;
    const next = (firstPosition: number) =>
      toMicroBatch(microBatchIndex(0), [{ sequence: decoding, firstPosition, tokens: 1 }], 4);
    expect(next(decoding.computedTokens).logits).toHaveLength(1);
    decoding.computedTokens = 5;
    const { logits, batch } = next(decoding.computedTokens);
    expect(logits).toEqual([]);
    expect(batch.positions).toEqual(Int32Array.of(5));
  });
});

describe('arrays for steps', () => {
  it('are zeros that nobody else has, of any length', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 20 }), (lengths) => {
        const arrays = new IntArrays();
        const taken = lengths.map((length) => arrays.take(length));
        expect(taken.map(({ length }) => length)).toEqual(lengths);
        for (const [index, array] of taken.entries()) {
          expect(array.every((value) => value === 0)).toBe(true);
          array.fill(index + 1);
        }
        for (const [index, array] of taken.entries()) {
          expect(array.every((value) => value === index + 1)).toBe(true);
        }
      }),
    );
  });
});
