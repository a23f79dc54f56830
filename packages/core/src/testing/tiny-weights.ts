import { weightsOf } from '../graph/node-values.js';
import type { ModelGraph } from '../graph/ops.js';
import { locateTensor } from '../weights/locate-tensor.js';
import type { TensorLocation, WeightSource } from '../spec/weight-source.js';
import { SeededRandom } from './seeded-random.js';

export function tinyWeights(model: ModelGraph, seed: number): WeightSource {
  const nodes = [model.prologue, ...model.layers, model.epilogue].flatMap((graph) => graph.nodes);
  const tensors = new Map<string, TensorLocation>();
  const data = new Map<string, Uint8Array>();
  let i = 0;
  for (const ref of nodes.flatMap(weightsOf)) {
    if (tensors.has(ref.name)) continue;
    const length = ref.shape.reduce((a, b) => a * b, 1);
    const random = new SeededRandom(seed * 1000 + i++);
    const gain = ref.shape.length === 1 ? 0.2 : 1.5 / Math.sqrt(ref.shape.at(-1) as number);
    const values = Float32Array.from(
      { length },
      () => gain * random.normal() + (ref.shape.length === 1 ? 1 : 0),
    );
    const bits = new Uint32Array(values.buffer);
    data.set(ref.name, new Uint8Array(Uint16Array.from(bits, (b) => (b + 0x8000) >>> 16).buffer));
    tensors.set(ref.name, {
      ...ref,
      dtype: 'BF16',
      file: '',
      byteOffset: 0,
      byteLength: 2 * length,
    });
  }
  return {
    tensors,
    locate: (name, shape) => locateTensor({ tensors, origin: 'tiny' }, name, shape),
    read: (location) => data.get(location.name) as Uint8Array,
  };
}
