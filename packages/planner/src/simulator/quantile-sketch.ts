/**
 * Buckets by the exponent of a number and the first bits of its mantissa: 128 for each power of
 * two, from 2^−10 to 2^34.
 */
const mantissaBits = 7;
const leastValue = 2 ** -10;
const powers = 44;
const bucketCount = powers << mantissaBits;

const float = new Float64Array(1);
/** The upper half of `float`, on this machine's order of bytes. */
const words = new Uint32Array(float.buffer);
const upper = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1 ? 1 : 0;
const shift = 20 - mantissaBits;

function prefixOf(value: number): number {
  float[0] = value;
  return (words[upper] ?? 0) >>> shift;
}

const firstPrefix = prefixOf(leastValue);

function middleOf(bucket: number): number {
  words[1 - upper] = 0;
  words[upper] = ((firstPrefix + bucket) << shift) | (1 << (shift - 1));
  return float[0] ?? 0;
}

/**
 * Quantiles of a stream in bounded memory: counts in buckets whose borders are less than 0.8 %
 * apart, so that every quantile is within 0.4 % of a value that was added, from 0.001 to 10^10;
 * what is below or above counts as the least or the greatest.
 */
export class QuantileSketch {
  readonly #counts = new Float64Array(bucketCount);
  #count = 0;
  #sum = 0;
  #max = 0;

  /** Of a number from 0. */
  add(value: number): void {
    const place = value > leastValue ? prefixOf(value) - firstPrefix : 0;
    const bucket = place < bucketCount ? place : bucketCount - 1;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#count += 1;
    this.#sum += value;
    if (value > this.#max) this.#max = value;
  }

  get count(): number {
    return this.#count;
  }

  /** Of nothing, 0. */
  get mean(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count;
  }

  get max(): number {
    return this.#max;
  }

  /** The least value that this part of all values does not exceed, 0 ≤ part ≤ 1. Of nothing, 0. */
  quantile(part: number): number {
    if (this.#count === 0) return 0;
    let left = Math.max(1, Math.ceil(part * this.#count));
    for (let bucket = 0; bucket < bucketCount; bucket += 1) {
      left -= this.#counts[bucket] ?? 0;
      if (left <= 0) return Math.min(this.#max, middleOf(bucket));
    }
    return this.#max;
  }

  summary(): QuantileSummary {
    const { mean, max, count } = this;
    return {
      count,
      mean,
      max,
      p50: this.quantile(0.5),
      p90: this.quantile(0.9),
      p99: this.quantile(0.99),
    };
  }
}

/** Quantiles are within 0.4 %; count, mean and maximum are exact. */
export interface QuantileSummary {
  readonly count: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}
