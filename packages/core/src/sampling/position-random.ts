import { philox } from './philox.js';

const two32 = 2 ** 32;

/**
 * The random number in [0, 1) that decides the token at `position` of a sequence with `seed`, a
 * multiple of 2^-53. It depends on nothing else: not on what was drawn before, nor on where or with
 * whom the sequence is computed.
 *
 * @param scratch 4 words, overwritten.
 */
export function positionRandom(seed: number, position: number, scratch: Uint32Array): number {
  scratch[0] = position % two32;
  scratch[1] = Math.floor(position / two32);
  scratch[2] = 0;
  scratch[3] = 0;
  // For a negative seed these are the halves of its two's complement.
  philox(scratch, seed >>> 0, Math.floor(seed / two32) >>> 0);
  const [first = 0, second = 0] = scratch;
  return ((first >>> 5) * 0x4000000 + (second >>> 6)) / 2 ** 53;
}
