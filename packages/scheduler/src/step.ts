import type { MicroBatch, MicroBatchIndex, SequenceId, StepPlan } from '@megascale/core';
import type { LogitsRow } from './micro-batches.js';
import type { FinishedSequence } from './sequence.js';

/** One step, decided: what the attention worker executes. */
export interface Step {
  readonly plan: StepPlan;
  /** Indices 0 … k − 1 with 1 ≤ k ≤ m; none is empty. */
  readonly microBatches: readonly MicroBatch[];
  readonly microBatchIndices: readonly MicroBatchIndex[];
  /** logits[i][r]: what row r of micro-batch i's logits is for. */
  readonly logits: readonly (readonly LogitsRow[])[];
}

export interface EmittedToken {
  readonly id: SequenceId;
  readonly tokenId: number;
  /** Where it was sampled: row `row` of micro-batch `microBatch`. */
  readonly microBatch: number;
  readonly row: number;
  /** On a sequence's last token. An end-of-sequence token is emitted too, with 'stop'. */
  readonly finishReason?: 'stop' | 'length';
}

export interface StepOutcome {
  /** In the order of micro-batches and rows. */
  readonly emitted: readonly EmittedToken[];
  readonly finished: readonly FinishedSequence[];
}

/** Every 'sample' row needs a token id. Throws RangeError. */
export function expectSampled(step: Step, sampled: readonly ArrayLike<number>[]): void {
  for (const [microBatch, rows] of step.logits.entries()) {
    for (const [row, { type }] of rows.entries()) {
      const tokenId = sampled[microBatch]?.[row];
      if (type !== 'sample' || (Number.isInteger(tokenId) && Number(tokenId) >= 0)) continue;
      throw new RangeError(
        `Row ${row} of micro-batch ${microBatch} needs a token id, not ${String(tokenId)}.`,
      );
    }
  }
}
