import type { WeightRef } from '../graph/ops.js';
import type { PlainWeightDType, WeightDType, WeightSource } from '../spec/weight-source.js';

/** Weights as f32, by tensor name. */
export type F32Weights = ReadonlyMap<string, Float32Array>;

/**
 * Reads each tensor once, as f32. Two ops that name the same tensor (tied embeddings) share it.
 *
 * @throws ConfigError 'ERR_WEIGHT_MISSING', 'ERR_WEIGHT_SHAPE' from the source.
 */
export function readWeights(source: WeightSource, refs: Iterable<WeightRef>): F32Weights {
  const weights = new Map<string, Float32Array>();
  for (const { name, shape } of refs) {
    const location = source.locate(name, shape);
    if (!weights.has(name)) weights.set(name, toF32(source.read(location), plain(location.dtype)));
  }
  return weights;
}

function plain(dtype: WeightDType): PlainWeightDType {
  if (dtype === 'I8' || dtype === 'I4') throw new TypeError(`No reader for weights of ${dtype}.`);
  return dtype;
}

/** Little-endian elements as f32; every value of the three types is exact in f32. */
export function toF32(bytes: Uint8Array, dtype: PlainWeightDType): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (dtype) {
    case 'F32':
      return Float32Array.from({ length: bytes.length / 4 }, (_, i) =>
        view.getFloat32(4 * i, true),
      );
    case 'BF16': {
      const bits = Uint32Array.from(
        { length: bytes.length / 2 },
        (_, i) =>
          // A bf16 is the upper half of an f32.
          view.getUint16(2 * i, true) * 65536,
      );
      return new Float32Array(bits.buffer);
    }
    case 'F16':
      return Float32Array.from({ length: bytes.length / 2 }, (_, i) =>
        halfToNumber(view.getUint16(2 * i, true)),
      );
  }
}

function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
