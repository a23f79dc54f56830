/**
 * Which steps may start before the one before them has all its tokens (cross-step overlap): while later micro-batches still wait for
 * their last layer and sample, the first one is already at the first layer of the next step.
 */
import type { Step } from './step.js';

/** Steps that may follow each other with uneven micro-batches before they are split anew. */
const unevenStepsMax = 8;

/**
 * A token that is being sampled cannot be computed in a lower micro-batch than its own, so that sizes drift apart as sequences end. A
 * step with an empty micro-batch does not start early, nor one that has been uneven for some steps: they are split anew.
 */
export function worthStartingEarly({ microBatches }: Step, earlyStepsSoFar: number): boolean {
  const sizes = microBatches.map(({ tokenIds }) => tokenIds.length);
  const mean = sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
  if (Math.min(...sizes) === 0) return false;
  return Math.max(...sizes) <= 1.25 * mean + 1 || earlyStepsSoFar < unevenStepsMax;
}
