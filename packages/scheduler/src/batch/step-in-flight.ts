import {
  positionOfLogits,
  type PlannedMicroBatch,
  type SequenceTokens,
} from '../micro-batches/planned-micro-batch.js';
import type { RunningSequence } from '../sequence/running-sequence.js';
import type { Step } from './step.js';

/** Steps that may follow each other with uneven micro-batches before the next one is split anew. */
const unevenStepsMax = 8;

/**
 * Whether a step may start before the one before it has all its tokens (cross-step overlap): while
 * later micro-batches still wait for their last layer and sample, the first one is already at the
 * first layer of the next step.
 *
 * A token that is being sampled cannot be computed in a lower micro-batch than its own, so sizes
 * drift apart as sequences end. A step with an empty micro-batch does not start early, nor one
 * whose micro-batches have been uneven for some steps: it is split anew.
 */
export function worthStartingEarly({ microBatches }: Step, earlyStepsSoFar: number): boolean {
  const sizes = microBatches.map(({ tokenIds }) => tokenIds.length);
  const mean = sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
  if (Math.min(...sizes) === 0) return false;
  return Math.max(...sizes) <= 1.25 * mean + 1 || earlyStepsSoFar < unevenStepsMax;
}

/**
 * A step between its plan and the tokens of its last micro-batch. Its micro-batches get their
 * tokens in order. A sequence that leaves in the meantime is still computed, for no client, and
 * nothing is written of it.
 */
export class StepInFlight {
  readonly step: Step;
  readonly #work: readonly SequenceTokens[];
  /** By micro-batch. */
  readonly #planned: readonly PlannedMicroBatch[];
  #completedCount = 0;

  constructor(step: Step, planned: readonly PlannedMicroBatch[], work: readonly SequenceTokens[]) {
    this.step = step;
    this.#work = work;
    this.#planned = planned;
  }

  /**
   * Whether the last layer has been attended to, so that nothing of this step reads or writes KV
   * pages any more: true as soon as the first micro-batch has its tokens, since all are attended to
   * before the first of them is combined.
   */
  get attended(): boolean {
    return this.#completedCount > 0;
  }

  get ended(): boolean {
    return this.#completedCount === this.#planned.length;
  }

  /** The micro-batch that gets its tokens next. */
  get due(): number {
    return this.#completedCount;
  }

  /** Its tokens in all. */
  get tokenCount(): number {
    return this.#work.reduce((sum, { tokens }) => sum + tokens, 0);
  }

  /** Writes the tokens that were not known when the step was planned. */
  writePendingTokens(microBatch: number): void {
    const planned = this.#planned[microBatch];
    if (planned === undefined) throw new RangeError(`The step has no micro-batch ${microBatch}.`);
    if (!planned.hasPendingTokens) return;
    const { logits, batch } = planned;
    for (const [row, { type, sequence }] of logits.entries()) {
      if (type !== 'sample' || sequence.hasLeft) continue;
      // A token that was known when the step was planned is written again as it is.
      batch.tokenIds[batch.logitsRows[row] ?? 0] = sequence.newestToken;
    }
  }

  /**
   * The last layer has been attended to: what was planned is computed, and the tokens of all
   * micro-batches but the first, which has its own, are pending.
   */
  advance(): void {
    for (const { sequence, tokens } of this.#work) {
      if (!sequence.hasLeft) sequence.computedTokens += tokens;
    }
    for (let microBatch = 1; microBatch < this.#planned.length; microBatch += 1) {
      for (const { type, sequence } of this.#planned[microBatch]?.logits ?? []) {
        if (type === 'sample' && !sequence.hasLeft) sequence.pendingIn = microBatch;
      }
    }
  }

  /** The sequences that it computes and that are still here. */
  sequences(): RunningSequence[] {
    return this.#work.map(({ sequence }) => sequence).filter(({ hasLeft }) => !hasLeft);
  }

  /** The due micro-batch has its tokens. Returns it. */
  complete(): PlannedMicroBatch {
    const planned = this.#planned[this.#completedCount];
    if (planned === undefined) throw new TypeError('The step has all its tokens.');
    this.#completedCount += 1;
    return planned;
  }

  /** Sets sequences back to the first row whose logits were not sampled from. */
  abandon(): void {
    if (!this.attended) return;
    for (const { sequence } of this.#work) sequence.pendingIn = undefined;
    for (const { logits, batch } of this.#planned.slice(this.due)) {
      for (const [row, { sequence }] of logits.entries()) {
        if (sequence.hasLeft) continue;
        const position = positionOfLogits(batch, row);
        sequence.computedTokens = Math.min(sequence.computedTokens, position);
      }
    }
  }
}
