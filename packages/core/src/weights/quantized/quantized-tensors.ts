import { ConfigError } from '../../errors.js';
import type { PlainWeightDType, TensorLocation, WeightDType } from '../../spec/weight-source.js';
import type { QuantizedForms } from './quantization-config.js';
import { wordsPerRow } from './quantized-values.js';
import type { SafetensorsEntry } from '../safetensors/safetensors-header.js';

/** A tensor of a safetensors file. */
export interface StoredTensor extends SafetensorsEntry {
  readonly file: string;
}

export interface QuantizedSource {
  /** Every tensor of the checkpoint. */
  readonly stored: ReadonlyMap<string, StoredTensor>;
  /** What config.json says; absent where it says nothing. */
  readonly forms: QuantizedForms | undefined;
  /** The bytes of a small tensor. */
  readBytes(tensor: StoredTensor): Uint8Array;
}

export interface QuantizedTensors {
  /** By the name the model knows: X.weight. */
  readonly matrices: ReadonlyMap<string, TensorLocation>;
  /** Names of tensors that belong to these matrices. */
  readonly companions: ReadonlySet<string>;
}

const plainDTypes: ReadonlySet<string> = new Set<PlainWeightDType>(['F32', 'BF16', 'F16']);
/** What quantized checkpoints of all kinds store beside their integers. */
const companionName =
  /\.(weight_(packed|scale|scale_inv|shape|zero_point|g_idx|global_scale)|(input|output|k|v|q)_(scale|zero_point|global_scale)|qweight|qzeros|scales|g_idx)$/;

/**
 * Joins the integers of quantized matrices with their scales: X.weight I8 or X.weight_packed I32
 * (with X.weight_shape), and X.weight_scale. A tensor that belongs to a way of quantizing that is
 * not read here is refused: without it the numbers are wrong.
 *
 * @throws ConfigError 'ERR_WEIGHT_FORMAT' naming the tensor, 'ERR_CONFIG_FIELD' where config.json
 * does not say that the checkpoint is quantized.
 */
export function quantizedTensors(source: QuantizedSource): QuantizedTensors {
  const matrices = new Map<string, TensorLocation>();
  const companions = new Set<string>();
  for (const tensor of source.stored.values()) {
    const name = matrixName(tensor, source);
    if (name === undefined) continue;
    const matrix = new QuantizedMatrix(name, tensor, source);
    matrices.set(name, matrix.location);
    for (const companion of matrix.companions) companions.add(companion);
  }
  for (const { name, dtype, file } of source.stored.values()) {
    if (!companionName.test(name) || companions.has(name)) continue;
    throw unreadable(name, `${dtype} in ${file}`, 'belongs to no matrix of a kind that is read');
  }
  return { matrices, companions };
}

/** X.weight for the tensor with the integers of a quantized X, else undefined. */
function matrixName(
  { name, dtype }: StoredTensor,
  { stored }: QuantizedSource,
): string | undefined {
  if (name.endsWith('.weight_packed')) return name.slice(0, -'_packed'.length);
  return dtype === 'I8' && stored.has(`${name}_scale`) ? name : undefined;
}

class QuantizedMatrix {
  readonly location: TensorLocation;
  /** All tensors that it took, but X.weight itself. */
  readonly companions: readonly string[];
  readonly #tensor: StoredTensor;
  readonly #source: QuantizedSource;

  constructor(name: string, tensor: StoredTensor, source: QuantizedSource) {
    this.#tensor = tensor;
    this.#source = source;
    const packed = tensor.name !== name;
    if (packed && source.stored.has(name)) this.#refuse(`stands beside ${name}`);
    const shape = packed ? this.#packedShape(`${name}_shape`) : this.#matrixShape(tensor.shape);
    const scales = this.#scales(`${name}_scale`, shape, packed ? 4 : 8);
    const { file, byteOffset, byteLength } = tensor;
    const dtype = packed ? 'I4' : 'I8';
    this.location = { name, dtype, shape, file, byteOffset, byteLength, scales };
    this.companions = [`${name}_scale`, ...(packed ? [tensor.name, `${name}_shape`] : [])];
  }

  #matrixShape(shape: readonly number[]): readonly [rows: number, columns: number] {
    const [rows = 0, columns = 0] = shape;
    if (shape.length === 2 && rows > 0 && columns > 0) return [rows, columns];
    return this.#refuse(`has the shape [${shape.join(', ')}], only matrices can be quantized`);
  }

  /** [rows, columns] as X.weight_shape states them, which the packed words must agree with. */
  #packedShape(name: string): readonly [rows: number, columns: number] {
    const { dtype, shape } = this.#tensor;
    if (dtype !== 'I32') this.#refuse(`is ${dtype}, expected I32`);
    const [rows, words] = this.#matrixShape(shape);
    const stated = this.#companion(name);
    const isPair = stated.shape.length === 1 && stated.shape[0] === 2;
    if (!isPair || (stated.dtype !== 'I64' && stated.dtype !== 'I32')) {
      this.#refuse(`needs ${name} as I64 [2], found ${stated.dtype} [${stated.shape.join(', ')}]`);
    }
    const [statedRows, columns] = integers(this.#source.readBytes(stated), stated.dtype);
    if (
      statedRows !== BigInt(rows) ||
      columns < 1n ||
      BigInt(wordsPerRow(Number(columns))) !== BigInt(words)
    ) {
      this.#refuse(
        `has ${rows} rows of ${words} words, which are not [${statedRows}, ${columns}] values ` +
          `of 4 bits as ${name} says`,
      );
    }
    return [rows, Number(columns)];
  }

  #scales(
    name: string,
    [rows, columns]: readonly [number, number],
    bits: 8 | 4,
  ): NonNullable<TensorLocation['scales']> {
    const scales = this.#companion(name);
    const { dtype, shape, file, byteOffset, byteLength } = scales;
    if (!isPlain(dtype)) return this.#refuse(`has scales of ${dtype}, expected BF16, F16 or F32`);
    const [scaleRows, groups = 0] = shape;
    const what = `[${rows}, ${columns}] with scales [${shape.join(', ')}]`;
    if (shape.length !== 2 || scaleRows !== rows || groups < 1 || columns % groups !== 0) {
      return this.#refuse(`is ${what}, expected [${rows}, groups] where groups divides ${columns}`);
    }
    this.#requireForm(bits, groups, columns, what);
    return { name, dtype, shape, file, byteOffset, byteLength };
  }

  /**
   * Group sizes that do not divide the columns would give a number of groups that fits by chance.
   */
  #requireForm(bits: 8 | 4, groups: number, columns: number, what: string): void {
    const { forms } = this.#source;
    if (forms === undefined) {
      throw new ConfigError('ERR_CONFIG_FIELD', {
        message:
          `Tensor ${this.#tensor.name} is quantized, but config.json has no ` +
          '"quantization_config" that says how. Give the config.json that belongs to the ' +
          'checkpoint.',
        details: { path: 'quantization_config', tensor: this.#tensor.name },
      });
    }
    const agrees = forms.some(
      ({ bits: width, groupSize = columns }) => width === bits && groupSize * groups === columns,
    );
    if (!agrees) this.#refuse(`is ${what}, which no group of quantization_config asks for`);
  }

  #companion(name: string): StoredTensor {
    return this.#source.stored.get(name) ?? this.#refuse(`needs ${name}, which is not there`);
  }

  #refuse(reason: string): never {
    const { name, dtype, file } = this.#tensor;
    throw unreadable(name, `${dtype} in ${file}`, reason);
  }
}

function isPlain(dtype: string): dtype is PlainWeightDType & WeightDType {
  return plainDTypes.has(dtype);
}

function integers(bytes: Uint8Array, dtype: string): readonly [bigint, bigint] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return dtype === 'I64'
    ? [view.getBigInt64(0, true), view.getBigInt64(8, true)]
    : [BigInt(view.getInt32(0, true)), BigInt(view.getInt32(4, true))];
}

function unreadable(name: string, where: string, reason: string): ConfigError {
  return new ConfigError('ERR_WEIGHT_FORMAT', {
    message:
      `Tensor ${name} (${where}) ${reason}. Symmetric 8-bit and 4-bit integers with a scale ` +
      'per row or group are read; take the model in bf16 and run: megascale quantize.',
    details: { name, reason },
  });
}
