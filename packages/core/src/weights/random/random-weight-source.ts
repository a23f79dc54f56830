import type { ModelGraph } from '../../graph/ops.js';
import type { TensorLocation, WeightSource } from '../../spec/weight-source.js';
import { requiredWeights } from '../checkpoint/check-weights.js';
import { elementCount } from '../checkpoint/tensor-location.js';
import { locateTensor } from '../checkpoint/locate-tensor.js';
import { fillRandomBfloat16 } from './random-weights.js';

/**
 * The tensors a model needs, made up from the seed when read, in bf16: the same bytes as
 * `makeRandomCheckpoint` writes. For tests and for backends that call `read`; there is no file to
 * map, `TensorLocation.file` is a description.
 */
export function randomWeightSource(model: ModelGraph, seed: number): WeightSource {
  const origin = `random weights of seed ${seed}`;
  let byteOffset = 0;
  const tensors = new Map<string, TensorLocation>();
  for (const { name, shape } of requiredWeights(model)) {
    const byteLength = 2 * elementCount(shape);
    tensors.set(name, { name, dtype: 'BF16', shape, file: origin, byteOffset, byteLength });
    byteOffset += byteLength;
  }
  return {
    tensors,
    locate: (name, shape) => locateTensor({ tensors, origin }, name, shape),
    read({ name, shape, byteLength }) {
      const elements = new Uint16Array(byteLength / 2);
      fillRandomBfloat16(elements, { name, shape, seed });
      return new Uint8Array(elements.buffer);
    },
  };
}
