import type { TensorLocation, WeightSource } from '../../spec/weight-source.js';
import { unpackInt4 } from '../quantized/quantized-values.js';
import { toF32 } from './to-f32.js';

/** A tensor's elements as f32: a quantized one is value × scale, rounded to f32 once. */
export function readF32(source: WeightSource, location: TensorLocation): Float32Array {
  const { dtype, shape, scales } = location;
  const bytes = source.read(location);
  if (dtype !== 'I8' && dtype !== 'I4') return toF32(bytes, dtype);
  if (scales === undefined) throw new TypeError(`${location.name} is ${dtype} without scales.`);
  const factors = toF32(source.read(scales), scales.dtype);
  const columns = shape[1] ?? 1;
  const values =
    dtype === 'I8'
      ? new Int8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      : unpackInt4(words(bytes), columns);
  return multiply(values, factors);
}

/** Each group of values times its scale; the groups are all of one size. */
function multiply(values: Int8Array, factors: Float32Array): Float32Array {
  const groupSize = values.length / factors.length;
  const out = new Float32Array(values.length);
  for (let group = 0, i = 0; group < factors.length; group++) {
    const factor = factors[group] as number;
    for (const end = i + groupSize; i < end; i++) out[i] = (values[i] as number) * factor;
  }
  return out;
}

function words(bytes: Uint8Array): Uint32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4);
}
