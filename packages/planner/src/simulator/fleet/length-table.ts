import type { RandomStream } from '../random-stream.js';
import type { LengthDistribution } from '../load/token-lengths.js';

const entries = 1 << 14;

/**
 * The quantiles of a length distribution, so that drawing a length is looking it up. Lengths beyond
 * the 1 / 32,768 at either end do not occur; the mean is that of the table.
 */
export class LengthTable {
  readonly mean: number;
  readonly #lengths = new Int32Array(entries);

  constructor({ median, sigma, max }: LengthDistribution) {
    let sum = 0;
    for (let index = 0; index < entries; index += 1) {
      const length = median * Math.exp(sigma * normalQuantile((index + 0.5) / entries));
      const whole = Math.min(max, Math.max(1, Math.round(length)));
      this.#lengths[index] = whole;
      sum += whole;
    }
    this.mean = sum / entries;
  }

  draw(random: RandomStream): number {
    return this.#lengths[random.bits() >>> 18] ?? 1;
  }

  /** The mean of a function of the length. */
  meanOf(value: (length: number) => number): number {
    let sum = 0;
    for (const length of this.#lengths) sum += value(length);
    return sum / entries;
  }
}

/** By bisection of the distribution function: done once per table, so that it may be slow. */
function normalQuantile(part: number): number {
  let low = -8;
  let high = 8;
  for (let round = 0; round < 50; round += 1) {
    const middle = (low + high) / 2;
    if (normalDistribution(middle) < part) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/**
 * Φ(x) by the series for small x and the continued fraction for large x (Abramowitz and Stegun
 * 26.2.11, 26.2.14).
 */
function normalDistribution(x: number): number {
  if (x < 0) return 1 - normalDistribution(-x);
  const density = Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
  if (x < 3) {
    let term = x;
    let sum = x;
    for (let n = 3; term > 1e-17 * sum; n += 2) {
      term *= (x * x) / n;
      sum += term;
    }
    return 0.5 + density * sum;
  }
  let fraction = x;
  for (let n = 60; n >= 1; n -= 1) fraction = x + n / fraction;
  return 1 - density / fraction;
}
