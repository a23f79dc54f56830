import type { Quantization, QuantizedMatrix } from './quantized-weights.js';

/**
 * Rows times matrix as the README states it: integers exactly, then per block two products and a
 * sum in f32.
 */
export function statedSum(
  rows: Float32Array,
  columns: number,
  matrix: QuantizedMatrix,
  { dtype }: Quantization,
): Float32Array {
  const held = dtype === 'I4' ? matrix.scales.map(toBf16) : matrix.scales;
  const width = matrix.integers.length / columns;
  const group = (columns * width) / matrix.scales.length;
  const groups = columns / group;
  const block = blockOf(groups === 1 ? Math.ceil(columns / 64) * 64 : group);
  const out = new Float32Array((rows.length / columns) * width);
  for (let row = 0; row < rows.length / columns; row += 1) {
    for (let begin = 0; begin < columns; begin += block) {
      const end = Math.min(begin + block, columns);
      const { scale, integers } = quantized(
        rows.subarray(row * columns + begin, row * columns + end),
      );
      for (let j = 0; j < width; j += 1) {
        let sum = 0;
        integers.forEach((value, i) => {
          sum += value * (matrix.integers[j * columns + begin + i] ?? NaN);
        });
        const scales = held[j * groups + Math.floor(begin / group)] ?? NaN;
        const product = Math.fround(Math.fround(sum * scale) * scales);
        out[row * width + j] = Math.fround((out[row * width + j] ?? NaN) + product);
      }
    }
  }
  return out;
}

/** The largest multiple of 32, at most 128, that divides the group. */
function blockOf(group: number): number {
  return [128, 96, 64, 32].find((block) => group % block === 0) ?? NaN;
}

function quantized(values: Float32Array): { scale: number; integers: number[] } {
  const largest = values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  const inverse = Math.fround(127 / largest);
  const integers = [...values].map((value) => toEven(Math.fround(value * inverse)));
  return { scale: Math.fround(largest / 127), integers };
}

/** To the nearest whole number, halves to the even one. */
function toEven(value: number): number {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}

function toBf16(value: number): number {
  const word = new Uint32Array(Float32Array.of(value).buffer)[0] ?? NaN;
  const rounded = word + 0x7fff + ((word >>> 16) & 1);
  return new Float32Array(Uint32Array.of((rounded >>> 16) << 16).buffer)[0] ?? NaN;
}
