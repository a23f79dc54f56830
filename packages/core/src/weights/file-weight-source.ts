import { closeSync, openSync, readSync } from 'node:fs';
import type { TensorLocation, WeightDType, WeightSource } from '../spec/weight-source.js';
import { locateTensor } from './locate-tensor.js';
import { corruptFile, missingCheckpoint } from './checkpoint-errors.js';
import type { SafetensorsHeader } from './safetensors-header.js';

/** One read call moves at most this much: some systems refuse 2 GiB and more. */
const readBytesMax = 1 << 30;

const readableDTypes: ReadonlySet<string> = new Set<WeightDType>(['F32', 'BF16', 'F16']);

/**
 * A weight source over safetensors files whose headers were read. Files are opened for each read,
 * so nothing is to close.
 */
export function fileWeightSource(
  origin: string,
  headers: ReadonlyMap<string, SafetensorsHeader>,
): WeightSource {
  const tensors = new Map<string, TensorLocation>();
  const unreadable = new Map<string, string>();
  for (const [file, header] of headers) {
    for (const { name, dtype, shape, byteOffset, byteLength } of header.tensors.values()) {
      if (isReadable(dtype))
        tensors.set(name, { name, dtype, shape, file, byteOffset, byteLength });
      else unreadable.set(name, dtype);
    }
  }
  const table = { tensors, unreadable, origin };
  return {
    tensors,
    locate: (name, shape) => locateTensor(table, name, shape),
    read: readTensor,
  };
}

function isReadable(dtype: string): dtype is WeightDType {
  return readableDTypes.has(dtype);
}

function readTensor({ name, file, byteOffset, byteLength }: TensorLocation): Uint8Array {
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
