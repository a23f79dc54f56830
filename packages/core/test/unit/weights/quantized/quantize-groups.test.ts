import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bfloat16Above,
  bfloat16ToNumber,
} from '../../../../src/weights/quantized/bfloat16-scale.js';
import {
  quantizeGroups,
  unclippedInt4Scale,
  type QuantizedForm,
} from '../../../../src/weights/quantized/quantize-groups.js';

/** What rounding of the arithmetic itself may add. */
const slack = 1 + 1e-6;

function quantized(weights: readonly number[], form: Required<QuantizedForm>) {
  const from = Float32Array.from(weights);
  const values = new Int8Array(from.length);
  const scaleBits = new Uint16Array(from.length / form.groupSize);
  const error = { largest: 0, squares: 0, weightSquares: 0 };
  quantizeGroups(from, form, { values, scales: scaleBits }, error);
  const scales = Array.from(scaleBits, bfloat16ToNumber);
  const scaleOf = (i: number): number => scales[Math.floor(i / form.groupSize)] ?? NaN;
  const errors = Array.from(from, (weight, i) =>
    Math.abs(weight - (values[i] ?? NaN) * scaleOf(i)),
  );
  return { from, values: [...values], scales, scaleOf, errors, error };
}

const weight = fc.oneof(
  fc.double({ min: -1, max: 1, noNaN: true }),
  fc.double({ min: -1e-38, max: 1e30, noNaN: true }),
  fc.constantFrom(0, -0, 1e-45, -1e-40, 3e30),
);
const groups = fc
  .record({ groupSize: fc.integer({ min: 1, max: 9 }), groupCount: fc.integer({ min: 1, max: 4 }) })
  .chain(({ groupSize, groupCount }) => {
    const length = groupSize * groupCount;
    return fc.record({
      groupSize: fc.constant(groupSize),
      weights: fc.array(weight, { minLength: length, maxLength: length }),
    });
  });

describe('quantizeGroups', () => {
  it('comes within half a scale of every weight with 8 bits', () => {
    fc.assert(
      fc.property(groups, ({ weights, groupSize }) => {
        const { values, scales, scaleOf, errors } = quantized(weights, { bits: 8, groupSize });
        expect(values.every((value) => value >= -127 && value <= 127)).toBe(true);
        expect(scales.every((scale) => scale > 0 && Number.isFinite(scale))).toBe(true);
        for (const [i, error] of errors.entries()) {
          expect(error).toBeLessThanOrEqual((scaleOf(i) / 2) * slack);
        }
      }),
    );
  });

  it('errs no more with 4 bits than the scale that clips nothing, which is within half a scale', () => {
    fc.assert(
      fc.property(groups, ({ weights, groupSize }) => {
        const { from, values, scales, errors } = quantized(weights, { bits: 4, groupSize });
        expect(values.every((value) => value >= -8 && value <= 7)).toBe(true);
        expect(scales.every((scale) => scale !== 0 && Number.isFinite(scale))).toBe(true);
        for (let start = 0; start < from.length; start += groupSize) {
          const group = from.subarray(start, start + groupSize);
          const [highest, lowest] = [Math.max(0, ...group), Math.min(0, ...group)];
          const scale = bfloat16ToNumber(unclippedInt4Scale(highest, lowest));
          const unclipped = Array.from(group, (w) => Math.abs(w - Math.round(w / scale) * scale));
          expect(highest / Math.abs(scale)).toBeLessThanOrEqual(scale > 0 ? 7 : 8);
          expect(-lowest / Math.abs(scale)).toBeLessThanOrEqual(scale > 0 ? 8 : 7);
          const found = sumOfSquares(errors.slice(start, start + groupSize));
          expect(found).toBeLessThanOrEqual(sumOfSquares(unclipped) * slack);
        }
      }),
    );
  });

  it('makes a group from its own weights alone, the same each time', () => {
    fc.assert(
      fc.property(
        groups,
        fc.constantFrom(4 as const, 8 as const),
        ({ weights, groupSize }, bits) => {
          const all = quantized(weights, { bits, groupSize });
          const apart = weights
            .flatMap((_, i) => (i % groupSize === 0 ? [weights.slice(i, i + groupSize)] : []))
            .map((group) => quantized(group, { bits, groupSize }));
          expect(apart.flatMap(({ values }) => values)).toEqual(all.values);
          expect(apart.flatMap(({ scales }) => scales)).toEqual(all.scales);
        },
      ),
    );
  });

  it('keeps what the scale divides exactly, and zeros', () => {
    const steps = Array.from({ length: 16 }, (_, i) => (i - 8) / 4);
    expect(quantized(steps, { bits: 4, groupSize: 16 })).toMatchObject({
      values: steps.map((step) => step * 4),
      scales: [0.25],
      error: { largest: 0, squares: 0 },
    });
    expect(quantized([0, -0, 0, 0], { bits: 4, groupSize: 2 })).toMatchObject({
      values: [0, 0, 0, 0],
      scales: [1, 1],
    });
  });

  it('turns the scale so that the largest magnitude falls on the value that has no opposite', () => {
    expect(quantized([8, 1, 0, -4], { bits: 4, groupSize: 4 })).toMatchObject({
      values: [-8, -1, 0, 4],
      scales: [-1],
    });
    expect(quantized([-8, 1, 0, 4], { bits: 4, groupSize: 4 }).scales).toEqual([1]);
  });

  it('does not let a single outlier of one row spoil another row', () => {
    const calm = [0.5, -0.25, 0.125, 1];
    const { errors } = quantized([...calm, 1000, 0, 0, 0, ...calm], { bits: 8, groupSize: 4 });
    expect(Math.max(...errors.slice(0, 4))).toBeLessThan(0.005);
    expect(errors.slice(8)).toEqual(errors.slice(0, 4));
  });

  it.each([NaN, Infinity, -Infinity])('refuses %d', (bad) => {
    for (const bits of [4, 8] as const) {
      expect(() => quantized([1, 2, bad, 0], { bits, groupSize: 2 })).toThrow(RangeError);
    }
  });
});

describe('bfloat16Above', () => {
  it('is the least bf16 that is not below a number', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e38, noNaN: true }), (magnitude) => {
        const bits = bfloat16Above(magnitude);
        if (magnitude === 0) return bits === 0x3f80;
        return bfloat16ToNumber(bits) >= magnitude && bfloat16ToNumber(bits - 1) < magnitude;
      }),
    );
  });
});

function sumOfSquares(numbers: readonly number[]): number {
  return numbers.reduce((sum, x) => sum + x * x, 0);
}
