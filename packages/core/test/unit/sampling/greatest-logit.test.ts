import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BackendError } from '../../../src/errors.js';
import { greatestLogit } from '../../../src/sampling/greatest-logit.js';

const logitsOf = fc
  .array(
    fc.oneof(
      fc.constantFrom(0, -0, 1, -1),
      fc.float({ noNaN: true, noDefaultInfinity: true }),
      fc.float({ min: -20, max: 20, noNaN: true }),
    ),
    { minLength: 1, maxLength: 60 },
  )
  .map((values) => Float32Array.from(values));

describe('greatestLogit', () => {
  it('finds the lowest id of the greatest', () => {
    const law = fc.property(logitsOf, (logits) => {
      expect(greatestLogit(logits)).toBe(logits.indexOf(Math.max(...logits)));
    });
    fc.assert(law, { numRuns: 500 });
  });

  it('takes zeros of both signs for equal', () => {
    expect(greatestLogit(Float32Array.of(-1, -0, 0))).toBe(1);
    expect(greatestLogit(Float32Array.of(-1, 0, -0))).toBe(1);
    expect(greatestLogit(Float32Array.of(-0, -0))).toBe(0);
  });

  it('reads a view that does not begin where its memory does', () => {
    expect(greatestLogit(Float32Array.of(9, 1, 3, 2).subarray(1))).toBe(1);
  });

  it('takes the greatest and the least finite number', () => {
    const limit = 2 ** 127 * (2 - 2 ** -23);
    expect(greatestLogit(Float32Array.of(-limit, limit))).toBe(1);
    expect(greatestLogit(Float32Array.of(-limit))).toBe(0);
  });

  it.each([Number.NaN, -Number.NaN, Infinity, -Infinity])(
    'refuses %s and names its token',
    (bad) => {
      const place = fc.record({ logits: logitsOf, at: fc.nat() });
      const law = fc.property(place, ({ logits, at }) => {
        const id = at % logits.length;
        logits[id] = bad;
        expect(() => greatestLogit(logits)).toThrow(BackendError);
        expect(() => greatestLogit(logits)).toThrow(`token ${id} `);
      });
      fc.assert(law);
    },
  );
});
