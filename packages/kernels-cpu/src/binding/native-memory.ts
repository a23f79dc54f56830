import { existsSync } from 'node:fs';
import type { Region, TensorLocation, WeightRef, WeightSource } from '@megascale/core';
import type { NativeTensor } from './binding.js';
import { refuse } from './native-error.js';

/**
 * Where native code finds a weight, and its scales if it is quantized. A file is read there; where
 * the source has no file (weights made up in memory), the bytes are read here and handed over. A
 * vector counts as one row.
 *
 * @throws ConfigError 'ERR_WEIGHT_MISSING', 'ERR_WEIGHT_SHAPE' from the source.
 */
export function nativeTensor(weights: WeightSource, { name, shape }: WeightRef): NativeTensor {
  const location = weights.locate(name, shape);
  const tensor = place(weights, location, shape);
  const { scales } = location;
  return scales === undefined
    ? tensor
    : { ...tensor, scales: place(weights, scales, scales.shape) };
}

function place(
  weights: WeightSource,
  location: TensorLocation,
  shape: readonly number[],
): NativeTensor {
  const { name, dtype, file, byteOffset } = location;
  const [first = 1, second] = shape;
  const size =
    second === undefined ? { rows: 1, columns: first } : { rows: first, columns: second };
  return existsSync(file)
    ? { name, dtype, ...size, file, byteOffset }
    : { name, dtype, ...size, bytes: weights.read(location) };
}

/**
 * The bytes of a region.
 *
 * @throws BackendError 'ERR_SHAPE' for a region that is not in host memory.
 */
export function regionBytes(name: string, region: Region): Uint8Array {
  if (region.bytes === undefined) {
    return refuse(`${name} lies in ${region.memory} memory; the cpu backend needs host memory.`);
  }
  return region.bytes;
}
