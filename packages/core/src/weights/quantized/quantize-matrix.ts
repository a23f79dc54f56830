import type { PlainTensorLocation, WeightSource } from '../../spec/weight-source.js';
import { corruptFile } from '../checkpoint/checkpoint-errors.js';
import { quantizeGroups, type QuantizationError, type QuantizedForm } from './quantize-groups.js';
import { packInt4, wordsPerRow } from './quantized-values.js';
import { toF32 } from '../safetensors/to-f32.js';
import type { TensorToWrite } from '../safetensors/write-safetensors.js';

/** Weights quantized at once. */
const blockElements = 1 << 18;

export interface MatrixToQuantize {
  readonly source: WeightSource;
  readonly location: PlainTensorLocation;
  readonly form: QuantizedForm;
  /** Gets what quantizing costs added. */
  readonly error: QuantizationError;
}

/**
 * One matrix of a checkpoint as the tensors of its quantized form, to be written in this order: the
 * scales are known once the values are made. The matrix is read when its values are asked for.
 *
 * @throws ConfigError 'ERR_CHECKPOINT_CORRUPT', while values are made, when a weight is not finite.
 */
export function quantizeMatrix(matrix: MatrixToQuantize): readonly TensorToWrite[] {
  const { form } = matrix;
  const { name, shape } = matrix.location;
  const [rows = 0, columns = 0] = shape;
  const groups = columns / (form.groupSize ?? columns);
  const scaleBits = new Uint16Array(rows * groups);
  const chunks = (): Iterable<Uint8Array> => valueBlocks(matrix, scaleBits);
  const scales: TensorToWrite = {
    name: `${name}_scale`,
    dtype: 'BF16',
    shape: [rows, groups],
    chunks: () => [bytesOf(scaleBits)],
  };
  if (form.bits === 8) return [{ name, dtype: 'I8', shape, chunks }, scales];
  return [
    { name: `${name}_packed`, dtype: 'I32', shape: [rows, wordsPerRow(columns)], chunks },
    scales,
    {
      name: `${name}_shape`,
      dtype: 'I64',
      shape: [2],
      chunks: () => [bytesOf(BigInt64Array.of(BigInt(rows), BigInt(columns)))],
    },
  ];
}

/** Quantizes some rows at a time; each block is overwritten by the next. */
function* valueBlocks(
  { source, location, form, error }: MatrixToQuantize,
  scaleBits: Uint16Array,
): Generator<Uint8Array> {
  const { name, file, dtype, shape } = location;
  const [rows = 0, columns = 0] = shape;
  const { bits, groupSize = columns } = form;
  const bytes = source.read(location);
  const rowBytes = bytes.byteLength / rows;
  const blockRows = Math.max(1, Math.floor(blockElements / columns));
  const values = new Int8Array(Math.min(rows, blockRows) * columns);
  for (let row = 0; row < rows; row += blockRows) {
    const weights = toF32(bytes.subarray(row * rowBytes, (row + blockRows) * rowBytes), dtype);
    const scales = scaleBits.subarray((row * columns) / groupSize);
    try {
      quantizeGroups(weights, { bits, groupSize }, { values, scales }, error);
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      throw corruptFile(file, `tensor ${name} holds NaN or an infinity`, { tensor: name });
    }
    const made = values.subarray(0, weights.length);
    yield bytesOf(bits === 8 ? made : packInt4(made, columns));
  }
}

function bytesOf(array: Int8Array | Uint16Array | Uint32Array | BigInt64Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
