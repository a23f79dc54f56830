import { layerPeriodUs, type StageTimes } from './step-time.js';

/** What was measured while steps had `microBatchCount` micro-batches. */
export interface PipelineObservation {
  readonly microBatchCount: number;
  readonly times: StageTimes;
  /**
   * Parts of T_a and T_e that do not shrink when the same tokens are divided over more
   * micro-batches.
   */
  readonly attentionFixedUs: number;
  readonly expertFixedUs: number;
}

/** What the same tokens would take in `microBatchCount` micro-batches. */
export function timesWith(observed: PipelineObservation, microBatchCount: number): StageTimes {
  const share = observed.microBatchCount / microBatchCount;
  const { attentionTimeUs, expertTimeUs, transferTimeUs } = observed.times;
  const attentionFixedUs = Math.min(observed.attentionFixedUs, attentionTimeUs);
  const expertFixedUs = Math.min(observed.expertFixedUs, expertTimeUs);
  return {
    attentionTimeUs: attentionFixedUs + (attentionTimeUs - attentionFixedUs) * share,
    expertTimeUs: expertFixedUs + (expertTimeUs - expertFixedUs) * share,
    transferTimeUs,
  };
}

/** Counts whose layers take at most this much longer than the best count's are as good. */
const asGood = 1.02;

/**
 * The least m whose layers take about as short a time as those of any m up to `microBatchesMax`.
 * Where nothing is fixed this is the paper's condition: the least m with m T_f ≥ T_a + T_e + 2 T_c
 * at the sizes that m makes. What is fixed speaks for fewer.
 */
export function chooseMicroBatchCount(
  observed: PipelineObservation,
  microBatchesMax: number,
): number {
  const periods = Array.from({ length: microBatchesMax }, (_, index) =>
    layerPeriodUs(timesWith(observed, index + 1), index + 1),
  );
  const best = Math.min(...periods);
  return periods.findIndex((period) => period <= asGood * best) + 1;
}

/** A change has to make layers this much shorter. */
const worthwhile = 0.95;
/** Observations that have to agree before a change, and that follow it before the next. */
const agreeing = 2;
const holdMin = 4;
const holdMax = 1024;

/**
 * Chooses m again as observations come, and does not flap: a change has to be worth it twice in a
 * row, and after one that takes back the one before, m is kept for twice as long as after that.
 */
export class MicroBatchTuner {
  readonly #max: number;
  #count: number;
  #previous: number | undefined;
  #candidate: number | undefined;
  #agreed = 0;
  #hold = holdMin;
  #holding = 0;

  constructor(limits: { readonly first: number; readonly max: number }) {
    this.#max = limits.max;
    this.#count = Math.min(limits.first, limits.max);
  }

  get microBatchCount(): number {
    return this.#count;
  }

  /**
   * True when m has changed. An observation of another m than the one in force is not looked at.
   */
  observe(observed: PipelineObservation): boolean {
    if (observed.microBatchCount !== this.#count) return false;
    if (this.#holding > 0) {
      this.#holding -= 1;
      return false;
    }
    const candidate = chooseMicroBatchCount(observed, this.#max);
    const period = (count: number): number => layerPeriodUs(timesWith(observed, count), count);
    if (candidate === this.#count || period(candidate) > worthwhile * period(this.#count)) {
      this.#agreed = 0;
      return false;
    }
    this.#agreed = candidate === this.#candidate ? this.#agreed + 1 : 1;
    this.#candidate = candidate;
    if (this.#agreed < agreeing) return false;
    this.#hold = candidate === this.#previous ? Math.min(2 * this.#hold, holdMax) : holdMin;
    this.#holding = this.#hold;
    this.#previous = this.#count;
    this.#count = candidate;
    this.#agreed = 0;
    return true;
  }
}
