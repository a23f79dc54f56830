/** What several runs of one measurement gave. */
export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** @throws RangeError when there is nothing to summarize. */
export function spreadOf(values: readonly number[]): Spread {
  return {
    min: percentile(values, 0),
    median: percentile(values, 50),
    max: percentile(values, 100),
  };
}

/**
 * Nearest rank: the smallest sample that at least `percent` of 100 samples do not exceed. @throws
 * RangeError without samples.
 */
export function percentile(samples: readonly number[], percent: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const rank = Math.max(1, Math.ceil((percent / 100) * sorted.length));
  const value = sorted[rank - 1];
  if (value === undefined) throw new RangeError('A percentile needs at least one sample.');
  return value;
}
