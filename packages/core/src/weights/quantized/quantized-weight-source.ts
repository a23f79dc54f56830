import type { ModelGraph } from '../../graph/ops.js';
import type { TensorLocation, WeightSource } from '../../spec/weight-source.js';
import { requiredWeights } from '../checkpoint/check-weights.js';
import { locateTensor } from '../checkpoint/locate-tensor.js';
import { plainLocation } from '../checkpoint/tensor-location.js';
import { quantizationPlan, type QuantizationOptions } from './quantization-plan.js';
import type { QuantizedForm } from './quantize-groups.js';
import { quantizeMatrix } from './quantize-matrix.js';

/**
 * The tensors of `source` that a model needs, those of `quantizationPlan` quantized: the same bytes
 * as `quantizeCheckpoint` writes. They are made now and kept in memory: for tests and small models.
 * A tensor made here has no file, `TensorLocation.file` is a description.
 */
export function quantizedWeightSource(
  source: WeightSource,
  model: ModelGraph,
  options: QuantizationOptions,
): WeightSource {
  const plan = quantizationPlan(model, options);
  const memory = new QuantizedMemory(source, `${options.format} in memory`);
  const tensors = new Map<string, TensorLocation>();
  for (const { name, shape } of requiredWeights(model)) {
    const location = source.locate(name, shape);
    const form = plan.get(name);
    tensors.set(name, form === undefined ? location : memory.add(location, form));
  }
  return {
    tensors,
    locate: (name, shape) => locateTensor({ tensors, origin: memory.origin }, name, shape),
    read: (location) => memory.bytesOf(location) ?? source.read(location),
  };
}

class QuantizedMemory {
  readonly #source: WeightSource;
  readonly #bytes = new Map<string, Uint8Array>();

  constructor(
    source: WeightSource,
    readonly origin: string,
  ) {
    this.#source = source;
  }

  add(plain: TensorLocation, form: QuantizedForm): TensorLocation {
    const location = plainLocation(plain);
    const error = { largest: 0, squares: 0, weightSquares: 0 };
    const matrix = quantizeMatrix({ source: this.#source, location, form, error });
    const [values, scales] = matrix.map((tensor) => ({
      name: tensor.name,
      shape: tensor.shape,
      file: this.origin,
      byteOffset: 0,
      byteLength: this.#keep(tensor.name, tensor.chunks()),
    }));
    if (values === undefined || scales === undefined)
      throw new TypeError('A matrix is two tensors.');
    const { name, shape } = location;
    this.#bytes.set(name, this.#bytes.get(values.name) as Uint8Array);
    const dtype = form.bits === 8 ? 'I8' : 'I4';
    return { ...values, name, shape, dtype, scales: { ...scales, dtype: 'BF16' } };
  }

  /** A copy of the bytes of a tensor that was made here. */
  bytesOf({ name, file }: TensorLocation): Uint8Array | undefined {
    return file === this.origin ? this.#bytes.get(name)?.slice() : undefined;
  }

  /** A piece is overwritten by the next. */
  #keep(name: string, pieces: Iterable<Uint8Array>): number {
    const bytes = new Uint8Array(Buffer.concat(Array.from(pieces, (piece) => piece.slice())));
    this.#bytes.set(name, bytes);
    return bytes.byteLength;
  }
}
