import type { MicroBatch, MicroBatchIndex, SequenceId, StepPlan } from '@megascale/core';
import type { LogitsRow } from '../micro-batches/planned-micro-batch.js';
import type { FinishedSequence } from '../sequence/sequence.js';

/** One planned step: what the attention worker executes. */
export interface Step {
  readonly plan: StepPlan;
  /**
   * Indices 0 … k − 1 with 1 ≤ k ≤ m; none is empty. No two steps share an array. Of a step that
   * was planned before the one before it had all its tokens, `tokenIds` are complete only after
   * `Batcher.startMicroBatch`.
   */
  readonly microBatches: readonly MicroBatch[];
  readonly microBatchIndices: readonly MicroBatchIndex[];
  /** sequences[i][s]: the id of sequence s of micro-batch i. */
  readonly sequences: readonly (readonly SequenceId[])[];
  /** Whether it was planned while later micro-batches of the step before were still to sample. */
  readonly overlapsPrevious: boolean;
  /** logits[i][r]: what row r of micro-batch i's logits is for. */
  readonly logits: readonly (readonly LogitsRow[])[];
}

/** A token that a step chose. */
export interface EmittedToken {
  readonly id: SequenceId;
  readonly tokenId: number;
  /** Where it was sampled: row `row` of micro-batch `microBatch`. */
  readonly microBatch: number;
  readonly row: number;
  /**
   * Prompt tokens that other sequences had computed. On a sequence's first token, where there are
   * any.
   */
  readonly cachedPromptTokens?: number;
  /** On a sequence's last token. An end-of-sequence token is emitted too, with 'stop'. */
  readonly finishReason?: 'stop' | 'length';
}

/** What a step, or one of its micro-batches, brought. */
export interface StepOutcome {
  /** In the order of micro-batches and rows. */
  readonly emitted: readonly EmittedToken[];
  readonly finished: readonly FinishedSequence[];
}

/** Throws RangeError where a 'sample' row of the micro-batch has no token id. */
export function expectSampled(step: Step, microBatch: number, sampled: ArrayLike<number>): void {
  const rows = step.logits[microBatch] ?? [];
  for (let row = 0; row < rows.length; row += 1) {
    const tokenId = sampled[row];
    if (tokenId !== undefined && tokenId >= 0 && Number.isInteger(tokenId)) continue;
    if (rows[row]?.type !== 'sample') continue;
    throw new RangeError(
      `Row ${row} of micro-batch ${microBatch} needs a token id, not ${String(tokenId)}.`,
    );
  }
}

/** The tokens of a step, and the keys that they see together. */
export function workOf({ microBatches }: Step): { tokens: number; keysSeen: number } {
  let tokens = 0;
  let keysSeen = 0;
  for (const { positions } of microBatches) {
    tokens += positions.length;
    for (const position of positions) keysSeen += position + 1;
  }
  return { tokens, keysSeen };
}

export function joinOutcomes(outcomes: readonly StepOutcome[]): StepOutcome {
  return {
    emitted: outcomes.flatMap(({ emitted }) => emitted),
    finished: outcomes.flatMap(({ finished }) => finished),
  };
}
