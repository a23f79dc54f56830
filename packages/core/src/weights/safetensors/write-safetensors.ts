import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import type { PlainWeightDType } from '../../spec/weight-source.js';

/** Element types that are written. */
export type StoredDType = PlainWeightDType | 'I8' | 'I32' | 'I64';

/** A tensor to store. */
export interface TensorToWrite {
  readonly name: string;
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  /**
   * The elements, little-endian, in pieces; a piece may be overwritten once the next is asked for.
   */
  chunks(): Iterable<Uint8Array>;
}

export interface SafetensorsWriteOptions {
  /** Called after each piece with the bytes written since the last call. */
  readonly onBytes?: (bytes: number) => void;
}

/** The data begins at a multiple of this, so that mapped tensors are aligned for vector loads. */
const dataAlignmentBytes = 64;
const bytesPerElement: Readonly<Record<StoredDType, number>> = {
  F32: 4,
  BF16: 2,
  F16: 2,
  I8: 1,
  I32: 4,
  I64: 8,
};

/**
 * Writes a safetensors file piece by piece: memory is bounded by one piece. The file appears under
 * its name only when it is complete.
 *
 * @throws RangeError when a tensor's pieces do not add up to its size.
 */
export async function writeSafetensors(
  file: string,
  tensors: readonly TensorToWrite[],
  options: SafetensorsWriteOptions = {},
): Promise<void> {
  const partial = `${file}.partial`;
  const handle = await open(partial, 'w');
  try {
    await writeAll(handle, headerBytes(tensors));
    for (const tensor of tensors) await writeTensor(handle, tensor, options);
  } catch (error) {
    await handle.close();
    await rm(partial, { force: true });
    throw error;
  }
  await handle.close();
  await rename(partial, file);
}

/** Bytes that a tensor takes in a file. */
export function tensorBytes({ dtype, shape }: Pick<TensorToWrite, 'dtype' | 'shape'>): number {
  return shape.reduce((product, size) => product * size, bytesPerElement[dtype]);
}

function headerBytes(tensors: readonly TensorToWrite[]): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  let begin = 0;
  for (const tensor of tensors) {
    const end = begin + tensorBytes(tensor);
    const { dtype, shape } = tensor;
    header[tensor.name] = { dtype, shape, data_offsets: [begin, end] };
    begin = end;
  }
  const json = Buffer.from(JSON.stringify(header));
  const dataStart = Math.ceil((8 + json.length) / dataAlignmentBytes) * dataAlignmentBytes;
  const bytes = Buffer.alloc(dataStart, ' ');
  bytes.writeBigUInt64LE(BigInt(dataStart - 8));
  json.copy(bytes, 8);
  return bytes;
}

async function writeTensor(
  handle: FileHandle,
  tensor: TensorToWrite,
  { onBytes }: SafetensorsWriteOptions,
): Promise<void> {
  const expected = tensorBytes(tensor);
  let written = 0;
  for (const chunk of tensor.chunks()) {
    written += chunk.length;
    if (written > expected) break;
    await writeAll(handle, chunk);
    onBytes?.(chunk.length);
  }
  if (written === expected) return;
  throw new RangeError(
    `Tensor ${tensor.name} [${tensor.shape.join(', ')}] ${tensor.dtype} takes ${expected} ` +
      `bytes, its pieces have ${written}.`,
  );
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done);
    done += bytesWritten;
  }
}
