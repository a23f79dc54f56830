import type { MicroBatch } from '../../spec/backend.js';
import { microBatchIndex } from '../../spec/units.js';

/** What one sequence brings to a micro-batch. */
export interface BatchedSequence {
  readonly tokenIds: readonly number[];
  /** Position of the first of them. Default 0. */
  readonly firstPosition?: number;
  /** The sequence's page table in position order. */
  readonly kvPages: readonly number[];
  /** Which rows' logits are wanted. Default 'all'. */
  readonly logits?: 'all' | 'last' | 'none';
}

/** Lays sequences side by side in the arrays of a `MicroBatch`. */
export function microBatch(options: {
  readonly index?: number;
  readonly sequences: readonly BatchedSequence[];
}): MicroBatch {
  const { sequences } = options;
  const offsets = prefixSum(sequences.map(({ tokenIds }) => tokenIds.length));
  const logitsRows = sequences.flatMap(({ tokenIds, logits = 'all' }, i) => {
    const rows = tokenIds.map((_, token) => (offsets[i] as number) + token);
    return logits === 'all' ? rows : logits === 'last' ? rows.slice(-1) : [];
  });
  return {
    index: microBatchIndex(options.index ?? 0),
    tokenIds: Int32Array.from(sequences.flatMap(({ tokenIds }) => tokenIds)),
    positions: Int32Array.from(
      sequences.flatMap(({ tokenIds, firstPosition = 0 }) =>
        tokenIds.map((_, token) => firstPosition + token),
      ),
    ),
    offsets,
    kvPages: Int32Array.from(sequences.flatMap(({ kvPages }) => kvPages)),
    kvPageOffsets: prefixSum(sequences.map(({ kvPages }) => kvPages.length)),
    logitsRows: Int32Array.from(logitsRows),
  };
}

/** [lengths + 1] starting at 0. */
function prefixSum(lengths: readonly number[]): Int32Array {
  const sums = new Int32Array(lengths.length + 1);
  lengths.forEach((length, i) => {
    sums[i + 1] = (sums[i] as number) + length;
  });
  return sums;
}
