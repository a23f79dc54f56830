/**
 * Philox4x32-10: a keyed bijection of 128-bit counters that passes for random (Salmon et al.,
 * "Parallel random numbers: as easy as 1, 2, 3", SC 2011). Replaces the four 32-bit words of
 * `counter` by the random words of that counter.
 */
export function philox(counter: Uint32Array, keyLow: number, keyHigh: number): void {
  let [x0 = 0, x1 = 0, x2 = 0, x3 = 0] = counter;
  let k0 = keyLow >>> 0;
  let k1 = keyHigh >>> 0;
  for (let round = 0; round < 10; round++) {
    const low0 = Math.imul(x0, 0xd2511f53);
    const low2 = Math.imul(x2, 0xcd9e8d57);
    const high0 = multiplyHigh(x0, 0xd2511f53);
    const high2 = multiplyHigh(x2, 0xcd9e8d57);
    x0 = (high2 ^ x1 ^ k0) >>> 0;
    x2 = (high0 ^ x3 ^ k1) >>> 0;
    x1 = low2 >>> 0;
    x3 = low0 >>> 0;
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  counter[0] = x0;
  counter[1] = x1;
  counter[2] = x2;
  counter[3] = x3;
}

/** The upper 32 bits of the product of two unsigned 32-bit words, in exact halves. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = (middle & 0xffff) + aLow * bHigh;
  return (aHigh * bHigh + (middle >>> 16) + (carry >>> 16)) >>> 0;
}
