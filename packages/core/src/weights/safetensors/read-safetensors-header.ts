import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { corruptFile, missingCheckpoint } from '../checkpoint/checkpoint-errors.js';
import {
  parseSafetensorsHeader,
  safetensorsHeaderBytesMax,
  type SafetensorsHeader,
} from './safetensors-header.js';

/**
 * Reads and checks the header of a safetensors file; no tensor is read.
 *
 * @throws ConfigError 'ERR_CHECKPOINT_MISSING' when the file cannot be opened,
 * 'ERR_CHECKPOINT_CORRUPT' when it is not what the format asks for.
 */
export function readSafetensorsHeader(file: string): SafetensorsHeader {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch (cause) {
    throw missingCheckpoint(`${file} cannot be read`, 'Give a complete checkpoint.', cause);
  }
  try {
    const status = fstatSync(descriptor);
    if (!status.isFile()) throw corruptFile(file, 'it is not a regular file');
    return readHeader(descriptor, file, status.size);
  } finally {
    closeSync(descriptor);
  }
}

function readHeader(descriptor: number, file: string, fileBytes: number): SafetensorsHeader {
  const length = Buffer.alloc(8);
  if (fileBytes < 8) {
    throw corruptFile(
      file,
      `it is truncated: ${8 - fileBytes} bytes of the header length are missing`,
    );
  }
  readSync(descriptor, length, 0, 8, 0);
  const headerBytes = Number(length.readBigUInt64LE());
  if (headerBytes > safetensorsHeaderBytesMax) {
    throw corruptFile(
      file,
      `its header claims ${headerBytes} bytes, at most ${safetensorsHeaderBytesMax} are allowed`,
    );
  }
  if (8 + headerBytes > fileBytes) {
    const missing = 8 + headerBytes - fileBytes;
    throw corruptFile(
      file,
      `it is truncated: ${missing} bytes of its header are missing (it has ${fileBytes} in all)`,
      { missingBytes: missing },
    );
  }
  const header = new Uint8Array(headerBytes);
  let filled = 0;
  while (filled < headerBytes) {
    const count = readSync(descriptor, header, filled, headerBytes - filled, 8 + filled);
    if (count === 0) throw corruptFile(file, 'it became shorter while it was read');
    filled += count;
  }
  return parseSafetensorsHeader(header, { file, fileBytes });
}
