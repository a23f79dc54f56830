import { closeSync, openSync, readSync } from 'node:fs';
import type { PlainWeightDType, TensorLocation, WeightSource } from '../../spec/weight-source.js';
import { locateTensor } from './locate-tensor.js';
import { corruptFile, missingCheckpoint } from './checkpoint-errors.js';
import type { QuantizedForms } from '../quantized/quantization-config.js';
import { quantizedTensors, type StoredTensor } from '../quantized/quantized-tensors.js';
import type { SafetensorsHeader } from '../safetensors/safetensors-header.js';

/** One read call moves at most this much: some systems refuse 2 GiB and more. */
const readBytesMax = 1 << 30;

const plainDTypes: ReadonlySet<string> = new Set<PlainWeightDType>(['F32', 'BF16', 'F16']);

/**
 * A weight source over safetensors files whose headers were read. Files are opened for each read,
 * so nothing is to close. `forms` is what config.json says about quantized matrices.
 *
 * @throws ConfigError 'ERR_WEIGHT_FORMAT' or 'ERR_CONFIG_FIELD' for quantized tensors that cannot
 * be read.
 */
export function fileWeightSource(
  origin: string,
  headers: ReadonlyMap<string, SafetensorsHeader>,
  forms?: QuantizedForms,
): WeightSource {
  const stored = new Map<string, StoredTensor>();
  for (const [file, header] of headers) {
    for (const entry of header.tensors.values()) stored.set(entry.name, { ...entry, file });
  }
  const { matrices, companions } = quantizedTensors({ stored, forms, readBytes: readTensor });
  const tensors = new Map<string, TensorLocation>(matrices);
  const unreadable = new Map<string, string>();
  for (const { name, dtype, ...place } of stored.values()) {
    if (matrices.has(name) || companions.has(name)) continue;
    if (isPlain(dtype)) tensors.set(name, { name, dtype, ...place });
    else unreadable.set(name, dtype);
  }
  const table = { tensors, unreadable, origin };
  return {
    tensors,
    locate: (name, shape) => locateTensor(table, name, shape),
    read: readTensor,
  };
}

function isPlain(dtype: string): dtype is PlainWeightDType {
  return plainDTypes.has(dtype);
}

/** A range of a file that holds one tensor. */
type TensorPlace = Pick<TensorLocation, 'name' | 'file' | 'byteOffset' | 'byteLength'>;

function readTensor({ name, file, byteOffset, byteLength }: TensorPlace): Uint8Array {
  const bytes = new Uint8Array(byteLength);
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch (cause) {
    throw missingCheckpoint(`${file} cannot be read any more`, 'Keep it while it is used.', cause);
  }
  try {
    let filled = 0;
    while (filled < byteLength) {
      const want = Math.min(byteLength - filled, readBytesMax);
      const count = readSync(descriptor, bytes, filled, want, byteOffset + filled);
      if (count === 0) throw corruptFile(file, `it became shorter: tensor ${name} is cut off`);
      filled += count;
    }
  } finally {
    closeSync(descriptor);
  }
  return bytes;
}
