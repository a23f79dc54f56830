import { bfloat16Above, bfloat16ToNumber } from './bfloat16-scale.js';

/** How a matrix is quantized. There is no zero point: a value times its scale is the weight. */
export interface QuantizedForm {
  readonly bits: 8 | 4;
  /** Neighbours of a row that share a scale; absent = one scale per row. */
  readonly groupSize?: number;
}

export interface QuantizedGroups {
  /** One per weight: [−127, 127] for 8 bits, [−8, 7] for 4. */
  readonly values: Int8Array;
  /** One per group, bf16 bits; finite and not zero. */
  readonly scales: Uint16Array;
}

/** What quantizing costs, summed over all calls that are given the same object. */
export interface QuantizationError {
  /** max |weight − value × scale|. */
  largest: number;
  /** Σ (weight − value × scale)². */
  squares: number;
  /** Σ weight². */
  weightSquares: number;
}

/** x + this − this is x rounded to the nearest integer, ties to even, for |x| < 2^51. */
const roundingBias = 1.5 * 2 ** 52;
/**
 * With 4 bits the scales tried besides the one that clips nothing are a group's largest magnitude
 * over these. To clip the few largest weights a little makes the steps between all others finer.
 */
const clippingDivisors = [7.5, 8, 8.5, 9, 9.5] as const;
const limits = { 8: { least: -127, most: 127 }, 4: { least: -8, most: 7 } } as const;

/**
 * Quantizes groups of `groupSize` weights that lie one after the other. The result of a group
 * depends on its weights alone. With 8 bits nothing is clipped. With 4 bits the scale is the one of
 * a few with the least squared error, and its sign is such that the largest magnitude falls on −8,
 * the value that has no opposite. A group of zeros has scale 1.
 *
 * @throws RangeError when a weight is not a finite number.
 */
export function quantizeGroups(
  weights: Float32Array,
  { bits, groupSize }: Required<QuantizedForm>,
  { values, scales }: QuantizedGroups,
  error: QuantizationError,
): void {
  const { least, most } = limits[bits];
  let { largest, squares, weightSquares } = error;
  for (let group = 0, start = 0; start < weights.length; group++, start += groupSize) {
    const end = start + groupSize;
    const scaleBits = bits === 8 ? int8Scale(weights, start, end) : int4Scale(weights, start, end);
    scales[group] = scaleBits;
    const scale = bfloat16ToNumber(scaleBits);
    const inverse = 1 / scale;
    for (let i = start; i < end; i++) {
      const weight = weights[i] as number;
      let value = weight * inverse + roundingBias - roundingBias;
      if (value > most) value = most;
      else if (value < least) value = least;
      values[i] = value;
      const difference = Math.abs(weight - value * scale);
      if (difference > largest) largest = difference;
      squares += difference * difference;
      weightSquares += weight * weight;
    }
  }
  Object.assign(error, { largest, squares, weightSquares });
}

/** The bf16 bits of the smallest scale that clips nothing with 8 bits. */
function int8Scale(weights: Float32Array, start: number, end: number): number {
  const { highest, lowest } = extremes(weights, start, end);
  return bfloat16Above(Math.max(highest, -lowest) / 127);
}

/** The bf16 bits of the 4-bit scale with the least squared error; of equals the first tried. */
function int4Scale(weights: Float32Array, start: number, end: number): number {
  const { highest, lowest } = extremes(weights, start, end);
  const sign = highest > -lowest ? 0x8000 : 0;
  const magnitude = Math.max(highest, -lowest);
  let best = unclippedInt4Scale(highest, lowest);
  let least = squaredError(weights, start, end, bfloat16ToNumber(best));
  for (const divisor of clippingDivisors) {
    const candidate = bfloat16Above(magnitude / divisor) | sign;
    const squares = squaredError(weights, start, end, bfloat16ToNumber(candidate));
    if (squares < least) {
      least = squares;
      best = candidate;
    }
  }
  return best;
}

/** The bf16 bits of the 4-bit scale that clips nothing: `lowest` ≤ 0 ≤ `highest` fit [−8, 7]. */
export function unclippedInt4Scale(highest: number, lowest: number): number {
  return highest > -lowest
    ? bfloat16Above(Math.max(highest / 8, -lowest / 7)) | 0x8000
    : bfloat16Above(Math.max(highest / 7, -lowest / 8));
}

/** The least and the greatest weight, and zero. */
function extremes(
  weights: Float32Array,
  start: number,
  end: number,
): { readonly highest: number; readonly lowest: number } {
  let highest = 0;
  let lowest = 0;
  let nothing = 0;
  for (let i = start; i < end; i++) {
    const weight = weights[i] as number;
    if (weight > highest) highest = weight;
    else if (weight < lowest) lowest = weight;
    // Stays zero unless a weight is infinite or not a number.
    nothing += weight * 0;
  }
  if (nothing !== 0) throw new RangeError('A weight is not a finite number.');
  return { highest, lowest };
}

function squaredError(weights: Float32Array, start: number, end: number, scale: number): number {
  const inverse = 1 / scale;
  let squares = 0;
  for (let i = start; i < end; i++) {
    const weight = weights[i] as number;
    let value = weight * inverse + roundingBias - roundingBias;
    if (value > 7) value = 7;
    else if (value < -8) value = -8;
    const difference = weight - value * scale;
    squares += difference * difference;
  }
  return squares;
}
