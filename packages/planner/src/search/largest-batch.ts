/**
 * The largest batch of whole units, at most `batchMax`, whose step takes at most `stepUsMax`; 0
 * where even one unit takes longer or does not fit.
 * `stepUs` must not fall when the batch grows.
 */
export function largestBatch(
  stepUs: (batch: number) => number,
  limits: {
    /**
     * What can be dealt out evenly: a batch between two units would make the busiest worker slower
     * than the mean one.
     */
    readonly unit: number;
    readonly batchMax: number;
    readonly stepUsMax: number;
    /**
     * Stop when what is known to fit is less than this share below what does not. Default 0: exact.
     */
    readonly tolerance?: number;
  },
): number {
  const { unit, stepUsMax, tolerance = 0 } = limits;
  const most = Math.floor(limits.batchMax / unit);
  if (most < 1 || stepUs(unit) > stepUsMax) return 0;
  if (stepUs(most * unit) <= stepUsMax) return most * unit;
  let fits = 1;
  let exceeds = most;
  while (exceeds - fits > Math.max(1, fits * tolerance)) {
    const middle = Math.floor((fits + exceeds) / 2);
    if (stepUs(middle * unit) <= stepUsMax) fits = middle;
    else exceeds = middle;
  }
  return fits * unit;
}
