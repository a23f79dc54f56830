import type { PlainWeightDType } from '../../spec/weight-source.js';

/** Little-endian elements as f32; every value of the three types is exact in f32. */
export function toF32(bytes: Uint8Array, dtype: PlainWeightDType): Float32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const { buffer, byteOffset, byteLength } = aligned;
  if (dtype === 'F32') return new Float32Array(buffer, byteOffset, byteLength / 4).slice();
  const halves = new Uint16Array(buffer, byteOffset, byteLength / 2);
  const into = new Float32Array(halves.length);
  if (dtype === 'BF16') widenBfloat16(halves, into);
  else for (let i = 0; i < halves.length; i++) into[i] = halfToNumber(halves[i] as number);
  return into;
}

/** A bf16 is the upper half of an f32. */
function widenBfloat16(halves: Uint16Array, into: Float32Array): void {
  const bits = new Uint32Array(into.buffer);
  for (let i = 0; i < halves.length; i++) bits[i] = (halves[i] as number) << 16;
}

function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
