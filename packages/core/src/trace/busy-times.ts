/** A span of time, in microseconds of one clock. */
export interface Interval {
  readonly startUs: number;
  readonly endUs: number;
}

/** The times that at least one of the intervals covers, ascending and without overlaps. */
export class BusyTimes {
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];

  constructor(intervals: readonly Interval[]) {
    const sorted = [...intervals].sort((a, b) => a.startUs - b.startUs);
    for (const { startUs, endUs } of sorted) {
      const last = this.#ends.length - 1;
      const end = this.#ends[last];
      if (end !== undefined && startUs <= end) {
        this.#ends[last] = Math.max(end, endUs);
      } else {
        this.#starts.push(startUs);
        this.#ends.push(endUs);
      }
    }
  }

  /** Returns how many microseconds of the interval are covered. */
  within({ startUs, endUs }: Interval): number {
    let low = 0;
    let high = this.#ends.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ends[middle] ?? 0) <= startUs) low = middle + 1;
      else high = middle;
    }
    let covered = 0;
    for (let index = low; index < this.#starts.length; index += 1) {
      const from = Math.max(startUs, this.#starts[index] ?? 0);
      const to = Math.min(endUs, this.#ends[index] ?? 0);
      if (from >= endUs) break;
      covered += Math.max(0, to - from);
    }
    return covered;
  }
}
