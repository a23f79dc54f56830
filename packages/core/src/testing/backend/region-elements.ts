import type { DType, Region } from '../../spec/region.js';

/** The region's bytes; contract suites look into slots, so they need memory the host can read. */
function hostBytes(region: Region): Uint8Array {
  if (region.bytes === undefined) {
    throw new TypeError(`The host cannot read this ${region.memory} memory.`);
  }
  return region.bytes;
}

/** A view as i32. */
export function i32Elements(region: Region): Int32Array {
  const bytes = hostBytes(region);
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/** A view as f32. */
export function f32Elements(region: Region): Float32Array {
  const bytes = hostBytes(region);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/** Activations of a slot as numbers: a copy. */
export function readActivations(region: Region, dtype: DType): Float32Array {
  if (dtype === 'f32') return f32Elements(region).slice();
  return Float32Array.from(halves(region, dtype), (bits) => fromBf16(bits));
}

/**
 * Writes numbers as activations from the region's start; bf16 cuts the lower bits off, so give
 * values that fit.
 */
export function writeActivations(region: Region, dtype: DType, values: Float32Array): void {
  if (dtype === 'f32') f32Elements(region).set(values);
  else halves(region, dtype).set(Uint16Array.from(values, (value) => toBf16(value)));
}

function halves(region: Region, dtype: DType): Uint16Array {
  if (dtype !== 'bf16') throw new TypeError(`Activations of type ${dtype} cannot be read here.`);
  const bytes = hostBytes(region);
  return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
}

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

function fromBf16(bits: number): number {
  word[0] = bits << 16;
  return float[0] as number;
}

function toBf16(value: number): number {
  float[0] = value;
  return (word[0] as number) >>> 16;
}
