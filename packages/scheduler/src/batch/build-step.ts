import { buildMicroBatches, type IntArrays } from '../micro-batches/build-micro-batches.js';
import type { SequenceTokens } from '../micro-batches/planned-micro-batch.js';
import type { BatcherLimits } from './batcher-options.js';
import type { LiveSequences } from './live-sequences.js';
import type { CheckedPlan } from './plan-maker.js';
import { StepInFlight } from './step-in-flight.js';
import type { Step } from './step.js';

/** What steps are built from, besides their plans. */
export interface StepMaterial {
  readonly limits: BatcherLimits;
  readonly live: LiveSequences;
  readonly arrays: IntArrays;
}

/** Starts the plan's waiting sequences, allocates pages and builds micro-batches. */
export function buildStep(
  { plan, lookedUp }: CheckedPlan,
  { limits, live, arrays }: StepMaterial,
  overlapsPrevious: boolean,
): StepInFlight {
  // Starting sequences hold their prefixes before pages are allocated, which may be theirs.
  const running = plan.run.map(
    ({ id }) => live.running.get(id) ?? live.start(id, lookedUp.get(id)?.contextTokens ?? 0),
  );
  const work = running.map((sequence, index): SequenceTokens => {
    const firstPosition = sequence.computedTokens;
    const tokens = plan.run[index]?.tokens ?? 0;
    live.pages.grow(sequence, firstPosition + tokens);
    return { sequence, firstPosition, tokens, lowestMicroBatch: sequence.pendingIn ?? 0 };
  });
  const planned = buildMicroBatches(work, arrays, limits);
  const step: Step = {
    plan,
    overlapsPrevious,
    microBatches: planned.map(({ batch }) => batch),
    microBatchIndices: planned.map(({ batch }) => batch.index),
    logits: planned.map(({ logits }) => logits),
    sequences: planned.map(({ ids }) => ids),
  };
  return new StepInFlight(step, planned, work);
}
