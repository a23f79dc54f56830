/**
 * Repeatable random numbers: the same seed gives the same numbers on every machine. The generator
 * is xoshiro128** 1.1 (Blackman and Vigna, 2018), its state filled by splitmix32.
 */
export class RandomStream {
  #a: number;
  #b: number;
  #c: number;
  #d: number;
  #spare: number | undefined;

  /** Streams of one seed with different numbers are independent of each other. */
  constructor(seed: number, stream = 0) {
    let state = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(stream + 1, 0x85ebca6b)) >>> 0;
    // Seeds beyond 32 bits differ too.
    state = (state ^ Math.imul(Math.floor(seed / 2 ** 32) | 0, 0xc2b2ae35)) >>> 0;
    const next = (): number => {
      state = (state + 0x9e3779b9) >>> 0;
      let bits = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
      bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
      return (bits ^ (bits >>> 15)) | 0;
    };
    this.#a = next();
    this.#b = next();
    this.#c = next();
    // All four zero would stay zero.
    this.#d = next() | 1;
  }

  /** 32 random bits, as a whole number from 0. */
  bits(): number {
    const product = Math.imul(this.#b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9);
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result >>> 0;
  }

  /** 0 ≤ value < 1. */
  fraction(): number {
    return this.bits() / 2 ** 32;
  }

  /** Mean 1. */
  exponential(): number {
    return -Math.log(1 - this.fraction());
  }

  /** Mean 0, standard deviation 1 (Box–Muller, both values used). */
  normal(): number {
    if (this.#spare !== undefined) {
      const spare = this.#spare;
      this.#spare = undefined;
      return spare;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.fraction()));
    const angle = 2 * Math.PI * this.fraction();
    this.#spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /**
   * Mean `shape`, scale 1 (Marsaglia and Tsang, 2000; below shape 1 by their power of a uniform
   * number).
   */
  gamma(shape: number): number {
    if (shape < 1) return this.gamma(shape + 1) * (1 - this.fraction()) ** (1 / shape);
    const d = shape - 1 / 3;
    const c = 1 / Math.sqrt(9 * d);
    for (;;) {
      const x = this.normal();
      const v = (1 + c * x) ** 3;
      if (v > 0 && Math.log(1 - this.fraction()) < (x * x) / 2 + d - d * v + d * Math.log(v)) {
        return d * v;
      }
    }
  }
}
