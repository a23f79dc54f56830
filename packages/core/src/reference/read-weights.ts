import type { WeightRef } from '../graph/ops.js';
import type { WeightSource } from '../spec/weight-source.js';
import { readF32 } from '../weights/safetensors/read-f32.js';

/** Weights as f32, by tensor name. */
export type F32Weights = ReadonlyMap<string, Float32Array>;

/**
 * Reads each tensor once, as f32; quantized ones are dequantized. Two ops that name the same tensor
 * (tied embeddings) share it.
 *
 * @throws ConfigError 'ERR_WEIGHT_MISSING', 'ERR_WEIGHT_SHAPE' from the source.
 */
export function readWeights(source: WeightSource, refs: Iterable<WeightRef>): F32Weights {
  const weights = new Map<string, Float32Array>();
  for (const { name, shape } of refs) {
    const location = source.locate(name, shape);
    if (!weights.has(name)) weights.set(name, readF32(source, location));
  }
  return weights;
}
