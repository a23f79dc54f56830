import { expertRank } from '@megascale/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { binding } from '../../../src/memory/binding.js';
import { PartialRows } from '../../../src/attention/partial-rows.js';
import { sumPartialRows } from '../../../src/expert/partial-sums.js';
import { portShape, type PortShape } from '../../../src/protocol/port-shape.js';

interface Case {
  readonly tokens: number;
  readonly topK: number;
  readonly hiddenSize: number;
  readonly ranks: number;
  /** [tokens, topK] */
  readonly expertRanks: readonly number[];
  readonly weights: readonly number[];
  /** [tokens, topK, hiddenSize] */
  readonly answers: readonly number[];
}

const cases = fc
  .record({
    tokens: fc.integer({ min: 1, max: 3 }),
    topK: fc.integer({ min: 1, max: 5 }),
    hiddenSize: fc.integer({ min: 1, max: 4 }),
    ranks: fc.integer({ min: 1, max: 3 }),
  })
  .chain((sizes) => {
    const rows = sizes.tokens * sizes.topK;
    const of = <Value>(value: fc.Arbitrary<Value>, length: number) =>
      fc.array(value, { minLength: length, maxLength: length });
    const number = fc.float({ min: -100, max: 100, noNaN: true });
    return fc.record({
      ...(Object.fromEntries(
        Object.entries(sizes).map(([name, value]) => [name, fc.constant(value)]),
      ) as { [Name in keyof typeof sizes]: fc.Arbitrary<number> }),
      expertRanks: of(fc.integer({ min: -1, max: sizes.ranks - 1 }), rows),
      weights: of(fc.float({ min: 0, max: 1, noNaN: true }), rows),
      answers: of(number, rows * sizes.hiddenSize),
    });
  });

const formats = [
  ['f32', (values: readonly number[]) => Float32Array.from(values), 2 ** -24],
  ['bf16', toBf16, 2 ** -8],
] as const;

function sumsOf({ tokens, topK, hiddenSize, ...each }: Case, rank: number) {
  return {
    weights: Float32Array.from(each.weights),
    expertRanks: Int32Array.from(each.expertRanks),
    rank,
    tokens,
    topK,
    hiddenSize,
  };
}

describe.each(formats)('partial sums of %s answers', (dtype, make, unitRoundoff) => {
  it('are the same bits with native code and without', () => {
    fc.assert(
      fc.property(cases, (each) => {
        const sums = sumsOf(each, 0);
        const [plain, native] = [make(each.answers), make(each.answers)];
        sumPartialRows(sums, plain);
        const { weights, expertRanks, rank, tokens, topK, hiddenSize } = sums;
        binding().sumPartialRows(native, weights, expertRanks, rank, tokens, topK, hiddenSize);
        expect(bitsOf(native)).toEqual(bitsOf(plain));
      }),
    );
  });

  it('leave the rows of other ranks alone', () => {
    fc.assert(
      fc.property(cases, (each) => {
        const answers = make(each.answers);
        sumPartialRows(sumsOf(each, 0), answers);
        for (const [row, rank] of each.expertRanks.entries()) {
          if (rank === 0) continue;
          const span = [row * each.hiddenSize, (row + 1) * each.hiddenSize] as const;
          expect(answers.slice(...span)).toEqual(make(each.answers).slice(...span));
        }
      }),
    );
  });

  it('added with weight 1 differ from the sum of all answers by their rounding alone', () => {
    fc.assert(
      fc.property(cases, (each) => {
        const { tokens, topK, hiddenSize, ranks } = each;
        const answers = make(each.answers);
        const all = valuesOf(answers);
        for (let rank = 0; rank < ranks; rank++) sumPartialRows(sumsOf(each, rank), answers);
        const slot = {
          expertIds: Int32Array.from(each.expertRanks),
          expertRanks: Int32Array.from(each.expertRanks),
          weights: Float32Array.from(each.weights),
        };
        const shape = { topK, expertWorkerCount: ranks } as PortShape;
        new PartialRows([slot], shape).keepSums(0, tokens);
        const partial = valuesOf(answers);
        for (let token = 0; token < tokens; token++) {
          for (let column = 0; column < hiddenSize; column++) {
            let [exact, found, size] = [0, 0, 0];
            for (let row = token * topK; row < (token + 1) * topK; row++) {
              const index = row * hiddenSize + column;
              if ((slot.expertIds[row] ?? -1) >= 0) {
                expect(slot.weights[row]).toBe(1);
                found += partial[index] ?? 0;
              }
              if ((each.expertRanks[row] ?? -1) < 0) continue;
              const part = Math.fround(each.weights[row] ?? 0) * (all[index] ?? 0);
              exact += part;
              size += Math.abs(part);
            }
            // Every product and sum is rounded to f32, every partial sum once more to its dtype.
            const bound = size * (2 * topK * 2 ** -24 + unitRoundoff) * 1.01 + 2 ** -126;
            expect(Math.abs(found - exact)).toBeLessThanOrEqual(bound);
          }
        }
      }),
    );
  });

  it('refuses arrays shorter than their counts', () => {
    const one = [make([1]), Float32Array.of(1), Int32Array.of(0)] as const;
    expect(() => {
      binding().sumPartialRows(...one, 0, 2, 1, 1);
    }).toThrow(/shorter/);
    expect(() => {
      binding().sumPartialRows(...one, 0, 1, 1, 2);
    }).toThrow(/shorter/);
    expect(() => {
      binding().sumPartialRows(...one, 0, -1, 1, 1);
    }).toThrow(/tokens is no count/);
  });

  it(`is a choice for ${dtype}, not for types without a sum`, () => {
    const options = {
      attentionWorkerCount: 1,
      expertWorkerCount: 1,
      placement: [[[expertRank(0)]]],
      layerCount: 1,
      hiddenSize: 1,
      topK: 1,
      tokensPerSlotMax: 1,
      slotCount: 1,
      combine: 'expert',
    } as unknown as Parameters<typeof portShape>[0];
    expect(portShape({ ...options, dtype }).combine).toBe('expert');
    expect(() => portShape({ ...options, dtype: 'f16' })).toThrow(/combine/);
  });
});

it('keeps one row per token and expert rank, the first', () => {
  const slot = {
    expertIds: Int32Array.of(4, 5, 6, -1, 7, 8),
    expertRanks: Int32Array.of(1, 0, 1, -1, 1, 1),
    weights: Float32Array.of(0.5, 0.25, 0.125, 0.5, 0.25, 0.5),
  };
  const shape = { topK: 3, expertWorkerCount: 2 } as PortShape;
  new PartialRows([slot], shape).keepSums(0, 2);
  expect([...slot.expertIds]).toEqual([4, 5, -1, -1, 7, -1]);
  expect([...slot.weights].filter((_, row) => (slot.expertIds[row] ?? -1) >= 0)).toEqual([1, 1, 1]);
});

function toBf16(values: readonly number[]): Uint16Array {
  const bits = new Uint32Array(Float32Array.from(values).buffer);
  return Uint16Array.from(bits, (word) => word >>> 16);
}

function bitsOf(answers: Float32Array | Uint16Array): number[] {
  return [...new Uint16Array(answers.buffer)];
}

function valuesOf(answers: Float32Array | Uint16Array): number[] {
  if (answers instanceof Float32Array) return [...answers];
  return [...new Float32Array(Uint32Array.from(answers, (word) => word << 16).buffer)];
}
