import type { StepCost } from '@megascale/core';

/** How steps are cut, as measured while they run. Changes only between the plans of two steps. */
export interface StepPace {
  /** m: micro-batches of a step at most, from 1 to those that there are slots for. */
  readonly microBatchCount: number;
  /** Of one micro-batch at one layer. Absent: micro-batches hold equal numbers of tokens. */
  readonly attentionCost?: StepCost;
}
