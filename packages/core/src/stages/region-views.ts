import { BackendError } from '../errors.js';
import type { Region } from '../spec/region.js';

/**
 * The region as f32, without a copy.
 *
 * @throws BackendError 'ERR_SHAPE' when the region is not host memory, is shorter than
 * `elementsMin` or is not aligned to 4 bytes.
 */
export function f32View(name: string, region: Region, elementsMin: number): Float32Array {
  const bytes = hostBytes(name, region, elementsMin);
  return new Float32Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.byteLength / 4));
}

/** The same for i32. */
export function i32View(name: string, region: Region, elementsMin: number): Int32Array {
  const bytes = hostBytes(name, region, elementsMin);
  return new Int32Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.byteLength / 4));
}

function hostBytes(name: string, region: Region, elementsMin: number): Uint8Array {
  const { bytes } = region;
  if (bytes === undefined) {
    throw wrong(name, `memory the host cannot read (${region.memory})`, 'host memory');
  }
  if (bytes.byteLength < elementsMin * 4) {
    throw wrong(name, `${bytes.byteLength} bytes`, `at least ${elementsMin * 4}`);
  }
  if (bytes.byteOffset % 4 !== 0)
    throw wrong(name, 'an address off by part of a word', 'a whole one');
  return bytes;
}

function wrong(name: string, found: string, expected: string): BackendError {
  return new BackendError('ERR_SHAPE', {
    message: `Slot memory ${name}: found ${found}, expected ${expected}.`,
    details: { region: name, found, expected },
  });
}
