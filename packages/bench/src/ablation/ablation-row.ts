import type { Spread } from '../measure/spread.js';
import type { Variant } from './variants.js';

/** One deployment beside the baseline of the same rounds. */
export interface AblationRow {
  readonly name: string;
  readonly question: Variant['question'];
  readonly microBatches: number;
  readonly batch: number;
  readonly tokensPerSecond: Spread;
  /** Over the first row's tokens per second in the same round. */
  readonly ratio: Spread;
  /** From one step's end to the next, over the first row's. */
  readonly stepTimeRatio: number;
}
