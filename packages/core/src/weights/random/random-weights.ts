/** Standard deviation of a row of a matrix times a vector of unit variance. */
const gain = 1.5;
/** Tensors of one dimension, mostly norm weights, lie in 1 ± this. */
const normSpread = 0.2;

/** Which random tensor: element i depends on the name, the shape, the seed and i alone. */
export interface RandomTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** Any safe integer; its low 32 bits count. */
  readonly seed: number;
}

/**
 * Writes elements [start, start + into.length) of a random tensor as bf16 bits. Counter-based: no
 * state, so any part can be made in any order. The formula is that of tools/goldens/README.md, to
 * the bit: a 32-bit word per element, its upper 24 bits as a number in [-1, 1), scaled, rounded to
 * f32 and then to bf16 (to nearest, ties to even).
 */
export function fillRandomBfloat16(into: Uint16Array, tensor: RandomTensor, start = 0): void {
  const { shape } = tensor;
  const key = streamKey(tensor.name, tensor.seed);
  const isMatrix = shape.length !== 1;
  const offset = isMatrix ? 0 : 1;
  const scale = isMatrix ? gain * Math.sqrt(3 / (shape.at(-1) ?? 1)) : normSpread;
  const rounded = new Float32Array(1);
  const bits = new Uint32Array(rounded.buffer);
  for (let i = 0; i < into.length; i++) {
    const word = mix32((mix32(start + i) + key) | 0);
    const unit = ((word >>> 8) - 8388608) / 8388608;
    rounded[0] = offset + scale * unit;
    const f32 = bits[0] ?? 0;
    into[i] = (f32 + 0x7fff + ((f32 >>> 16) & 1)) >>> 16;
  }
}

/** The 32-bit word of one element, for tests against vectors. */
export function randomWord(name: string, seed: number, index: number): number {
  return mix32((mix32(index) + streamKey(name, seed)) | 0) >>> 0;
}

/** The 32-bit key of a tensor's stream. */
export function streamKey(name: string, seed: number): number {
  return mix32(mix32(((seed >>> 0) + 0x9e3779b9) | 0) ^ fnv1a32(name)) >>> 0;
}

/** A bijection of 32-bit words in which every input bit moves every output bit. */
function mix32(word: number): number {
  let x = word;
  x ^= x >>> 16;
  x = Math.imul(x, 0x7feb352d);
  x ^= x >>> 15;
  x = Math.imul(x, 0x846ca68b);
  return x ^ (x >>> 16);
}

/** The FNV-1a hash of the UTF-8 bytes. */
export function fnv1a32(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
