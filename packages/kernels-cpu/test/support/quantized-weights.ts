import type { TensorLocation, WeightSource } from '@megascale/core';
import { SeededRandom } from '@megascale/core/testing';

/** How one matrix is stored: `groups` scales per row. */
export interface Quantization {
  readonly dtype: 'I8' | 'I4';
  readonly groups: number;
  readonly scaleDType?: 'F32' | 'BF16' | 'F16';
}

/** The integers and scales of one matrix, as numbers. */
export interface QuantizedMatrix {
  /** [rows, columns]. */
  readonly integers: Int8Array;
  /** [rows, groups], as the checkpoint's type holds them. */
  readonly scales: Float32Array;
}

export interface QuantizedWeights {
  readonly weights: WeightSource;
  /** The same numbers, unpacked to F32, for a backend that knows no quantized types. */
  readonly plain: WeightSource;
  matrix(name: string): QuantizedMatrix;
}

/**
 * Random integers of the whole range and scales of either sign, for the matrices that `choose`
 * names; the others stay as they are.
 */
export function quantizedWeights(
  base: WeightSource,
  choose: (location: TensorLocation) => Quantization | undefined,
): QuantizedWeights {
  const tensors = new Map(base.tensors);
  const plainTensors = new Map(base.tensors);
  const matrices = new Map<string, QuantizedMatrix>();
  const bytes = new Map<string, Uint8Array>();
  let seed = 1;
  for (const location of base.tensors.values()) {
    const how = choose(location);
    if (how === undefined) continue;
    const { name } = location;
    const [rows = 0, columns = 0] = location.shape;
    const matrix = randomMatrix(rows, columns, how, (seed += 1));
    matrices.set(name, matrix);
    const scaleBytes = encodeScales(matrix.scales, how.scaleDType ?? 'BF16');
    const integerBytes = how.dtype === 'I8' ? asBytes(matrix.integers) : packNibbles(matrix, rows);
    bytes.set(name, integerBytes);
    bytes.set(`${name}.scales`, scaleBytes);
    const scales = {
      name: `${name}.scales`,
      dtype: how.scaleDType ?? 'BF16',
      shape: [rows, how.groups],
      file: location.file,
      byteOffset: 0,
      byteLength: scaleBytes.length,
    } as const;
    const byteLength = integerBytes.length;
    tensors.set(name, { ...location, dtype: how.dtype, byteLength, scales });
    plainTensors.set(name, { ...location, dtype: 'F32', byteLength: 4 * rows * columns });
  }
  return {
    weights: source(base, tensors, ({ name }) => bytes.get(name)),
    plain: source(base, plainTensors, ({ name, dtype }) => {
      const matrix = dtype === 'F32' ? matrices.get(name) : undefined;
      return matrix === undefined ? undefined : asBytes(unpacked(matrix));
    }),
    matrix: (name) => {
      const matrix = matrices.get(name);
      if (matrix === undefined) throw new RangeError(name);
      return matrix;
    },
  };
}

function source(
  base: WeightSource,
  tensors: ReadonlyMap<string, TensorLocation>,
  own: (location: TensorLocation) => Uint8Array | undefined,
): WeightSource {
  return {
    tensors,
    locate: (name, shape) => {
      base.locate(name, shape);
      const location = tensors.get(name);
      if (location === undefined) throw new RangeError(name);
      return location;
    },
    read: (location) => own(location)?.slice() ?? base.read(location),
  };
}

function randomMatrix(
  rows: number,
  columns: number,
  { dtype, groups, scaleDType }: Quantization,
  seed: number,
): QuantizedMatrix {
  const random = new SeededRandom(seed);
  const [least, most] = dtype === 'I8' ? [-128, 127] : [-8, 7];
  const integers = Int8Array.from({ length: rows * columns }, () => random.integer(least, most));
  const typical = 1 / (most * Math.sqrt(columns));
  const scales = Float32Array.from({ length: rows * groups }, () => {
    const sign = random.integer(0, 3) === 0 ? -1 : 1;
    return sign * typical * (0.5 + random.fraction());
  });
  return { integers, scales: decodeScales(encodeScales(scales, scaleDType ?? 'BF16'), scaleDType) };
}

/** Eight to a little-endian word, lowest bits first, plus 8; rows padded to whole words. */
function packNibbles({ integers }: QuantizedMatrix, rows: number): Uint8Array {
  const columns = integers.length / rows;
  const rowBytes = 4 * Math.ceil(columns / 8);
  const bytes = new Uint8Array(rows * rowBytes);
  integers.forEach((value, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    const at = row * rowBytes + (column >> 1);
    bytes[at] = (bytes[at] ?? 0) | ((value + 8) << (4 * (column & 1)));
  });
  return bytes;
}

function unpacked({ integers, scales }: QuantizedMatrix): Float32Array {
  const perScale = integers.length / scales.length;
  return Float32Array.from(integers, (value, i) => value * (scales[Math.floor(i / perScale)] ?? 0));
}

function encodeScales(scales: Float32Array, dtype: 'F32' | 'BF16' | 'F16'): Uint8Array {
  if (dtype === 'F32') return asBytes(scales);
  const words = new Uint32Array(scales.slice().buffer);
  return asBytes(Uint16Array.from(words, dtype === 'BF16' ? (bits) => bits >>> 16 : halfBits));
}

function decodeScales(bytes: Uint8Array, dtype: 'F32' | 'BF16' | 'F16' | undefined): Float32Array {
  if (dtype === 'F32') return new Float32Array(bytes.slice().buffer);
  const halves = new Uint16Array(bytes.slice().buffer);
  const words = Uint32Array.from(halves, dtype === 'F16' ? floatBits : (bits) => bits << 16);
  return new Float32Array(words.buffer);
}

/**
 * The f32 word with its fraction cut to f16's ten bits; the scales of the tests are normal in f16.
 */
function halfBits(word: number): number {
  return (
    ((word >>> 16) & 0x8000) | ((((word >>> 23) & 0xff) - 112) << 10) | ((word >>> 13) & 0x3ff)
  );
}

function floatBits(half: number): number {
  return ((half & 0x8000) << 16) | ((((half >> 10) & 0x1f) + 112) << 23) | ((half & 0x3ff) << 13);
}

function asBytes({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
}
