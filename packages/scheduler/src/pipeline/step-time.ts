/** What one micro-batch takes at one layer, in microseconds. */
export interface StageTimes {
  /** T_a */
  readonly attentionTimeUs: number;
  /** T_e */
  readonly expertTimeUs: number;
  /** T_c: one way; a link carries one micro-batch after the other. */
  readonly transferTimeUs: number;
}

/** T_f: the slower half. */
export function stageTimeUs({ attentionTimeUs, expertTimeUs }: StageTimes): number {
  return Math.max(attentionTimeUs, expertTimeUs);
}

/** One micro-batch through one layer, there and back: T_a + T_e + 2 T_c. */
export function roundTripUs(times: StageTimes): number {
  return times.attentionTimeUs + times.expertTimeUs + 2 * times.transferTimeUs;
}

/**
 * From one layer to the next in the middle of a step: whichever is longest of m micro-batches on
 * the slower half, one round trip, and m micro-batches on the link.
 */
export function layerPeriodUs(times: StageTimes, microBatchCount: number): number {
  const busyUs = microBatchCount * stageTimeUs(times);
  return Math.max(busyUs, roundTripUs(times), microBatchCount * times.transferTimeUs);
}

/**
 * One step of the ping-pong pipeline, from the first attention half until the last micro-batch is
 * back from the last layer. With T_c ≤ T_f and enough micro-batches it is the paper's (T_a + T_e +
 * 2 T_c) + T_f (m L − 1); n steps that are joined are one of n × L layers.
 */
export function stepTimeUs(times: StageTimes, microBatchCount: number, layerCount: number): number {
  if (layerCount === 0) return 0;
  const slowest = Math.max(stageTimeUs(times), times.transferTimeUs);
  return (
    (layerCount - 1) * layerPeriodUs(times, microBatchCount) +
    roundTripUs(times) +
    (microBatchCount - 1) * slowest
  );
}

/**
 * Whether the slower half never waits in the middle of a step: T_c ≤ T_f and m T_f ≥ T_a + T_e + 2
 * T_c.
 */
export function hidesTransfers(times: StageTimes, microBatchCount: number): boolean {
  const stageUs = stageTimeUs(times);
  // Sums of times that are meant to be equal differ in their last bits.
  const slack = 1 + 1e-9;
  return (
    times.transferTimeUs <= stageUs * slack &&
    roundTripUs(times) <= microBatchCount * stageUs * slack
  );
}

/**
 * The least m that hides transfers; undefined where none does, because T_c exceeds T_f. For T_a =
 * T_e: 2 (1 + T_c / T_f), rounded up.
 */
export function microBatchesToHide(times: StageTimes): number | undefined {
  const stageUs = stageTimeUs(times);
  if (times.transferTimeUs > stageUs) return undefined;
  if (stageUs === 0) return 1;
  const least = Math.max(1, Math.floor(roundTripUs(times) / stageUs) - 1);
  return [least, least + 1, least + 2].find((count) => hidesTransfers(times, count));
}
