const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);

/** The bits of the least bf16 that is not below `magnitude` ≥ 0; of 1 for zero. */
export function bfloat16Above(magnitude: number): number {
  if (magnitude === 0) return 0x3f80;
  float[0] = magnitude;
  const bits = word[0] as number;
  const below = float[0] < magnitude ? 1 : 0;
  return (bits + below + 0xffff) >>> 16;
}

export function bfloat16ToNumber(bits: number): number {
  word[0] = bits << 16;
  return float[0] as number;
}
