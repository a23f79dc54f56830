import { existsSync } from 'node:fs';
import type { WeightRef, WeightSource } from '@megascale/core';
import type { NativeTensor } from './binding.js';

/**
 * Where native code finds a weight. A file is mapped there; where the source has no file (weights made up in memory), the bytes are
 * read here and handed over. A vector counts as one row.
 *
 * @throws ConfigError 'ERR_WEIGHT_MISSING', 'ERR_WEIGHT_SHAPE' from the source.
 */
export function nativeTensor(weights: WeightSource, { name, shape }: WeightRef): NativeTensor {
  const location = weights.locate(name, shape);
  const [first = 1, second] = shape;
  const size =
    second === undefined ? { rows: 1, columns: first } : { rows: first, columns: second };
  const { dtype, file, byteOffset } = location;
  return existsSync(file)
    ? { dtype, ...size, file, byteOffset }
    : { dtype, ...size, bytes: weights.read(location) };
}
