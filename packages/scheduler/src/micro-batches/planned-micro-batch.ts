import type { MicroBatch, SequenceId } from '@megascale/core';
import type { RunningSequence } from '../sequence/running-sequence.js';
import type { TokenHistory } from '../sequence/token-history.js';

/** What a step computes of one sequence: `tokens` tokens from position `firstPosition` on. */
export interface SequenceTokens {
  readonly sequence: RunningSequence;
  readonly firstPosition: number;
  /** At least 1. */
  readonly tokens: number;
  /**
   * Of a single token that an earlier step is still sampling: the micro-batch that samples it. The
   * token may stand in this micro-batch or a later one. Default 0.
   */
  readonly lowestMicroBatch?: number;
}

/** What one row of a micro-batch's logits is for; its position is `positionOfLogits`. */
export interface LogitsRow {
  /**
   * 'sample': the token at position + 1 is chosen from it. 'prompt': the token at position + 1 is
   * known, and its log-probability is wanted.
   */
  readonly type: 'sample' | 'prompt';
  readonly history: TokenHistory;
}

/** A row of logits, and the sequence it belongs to. */
export interface PlannedRow extends LogitsRow {
  readonly sequence: RunningSequence;
}

/** A micro-batch, and what each row of its logits is for. */
export interface PlannedMicroBatch {
  readonly batch: MicroBatch;
  /** [logitsRows] */
  readonly logits: readonly PlannedRow[];
  /** [sequences of the batch] */
  readonly ids: readonly SequenceId[];
  /**
   * An earlier step is still sampling some of its tokens: the batcher writes them into
   * `batch.tokenIds` when the micro-batch starts.
   */
  readonly hasPendingTokens: boolean;
}

/**
 * The position of the token that row `row` of the micro-batch's logits belongs to;
 * `row` < logitsRows.
 */
export function positionOfLogits({ logitsRows, positions }: MicroBatch, row: number): number {
  return positions[logitsRows[row] ?? 0] ?? 0;
}
