/** Repeatable numbers for tests: the same seed gives the same numbers on every machine. */
export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 32 random bits (splitmix32). */
  bits(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let z = this.#state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  }

  /** 0 ≤ value < 1. */
  fraction(): number {
    return this.bits() / 2 ** 32;
  }

  /** A whole number, first ≤ value ≤ last. */
  integer(first: number, last: number): number {
    return first + Math.floor(this.fraction() * (last - first + 1));
  }

  /** Mean 0, standard deviation 1 (Box–Muller). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.fraction()));
    return radius * Math.cos(2 * Math.PI * this.fraction());
  }

  /** The same items in another order. */
  shuffle<T>(items: readonly T[]): T[] {
    const out = [...items];
    for (let last = out.length - 1; last > 0; last -= 1) {
      const other = this.integer(0, last);
      [out[last], out[other]] = [out[other] as T, out[last] as T];
    }
    return out;
  }

  /** Token ids below `vocabSize`. */
  tokenIds(count: number, vocabSize: number): number[] {
    return Array.from({ length: count }, () => this.integer(0, vocabSize - 1));
  }
}
