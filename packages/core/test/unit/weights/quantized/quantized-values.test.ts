import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  packInt4,
  unpackInt4,
  wordsPerRow,
} from '../../../../src/weights/quantized/quantized-values.js';

describe('packInt4', () => {
  it('puts eight values plus 8 into a word, lowest bits first, rows in whole words', () => {
    const row = [-8, -7, -6, -5, 4, 5, 6, 7, 1];
    const words = packInt4(Int8Array.from([...row, ...row.map((value) => -value - 1)]), 9);
    expect([...words]).toEqual([0xfedc3210, 0x9, 0x0123cdef, 0x6]);
  });

  it('is undone by unpackInt4', () => {
    const matrices = fc
      .record({ rows: fc.integer({ min: 1, max: 4 }), columns: fc.integer({ min: 1, max: 20 }) })
      .chain(({ rows, columns }) => {
        const length = rows * columns;
        const value = fc.integer({ min: -8, max: 7 });
        const values = fc.array(value, { minLength: length, maxLength: length });
        return fc.record({ rows: fc.constant(rows), columns: fc.constant(columns), values });
      });
    fc.assert(
      fc.property(matrices, ({ rows, columns, values }) => {
        const words = packInt4(Int8Array.from(values), columns);
        expect(words).toHaveLength(rows * wordsPerRow(columns));
        expect([...unpackInt4(words, columns)]).toEqual(values);
      }),
    );
  });
});
