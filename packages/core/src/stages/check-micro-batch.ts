import { BackendError } from '../errors.js';
import type { MicroBatch } from '../spec/backend.js';

export interface MicroBatchLimits {
  readonly microBatchCount: number;
  readonly tokensPerMicroBatchMax: number;
  readonly vocabSize: number;
  readonly positionsMax: number;
  readonly kvPageCount: number;
  readonly kvPageSize: number;
}

/**
 * Validates a call of `AttentionStage.embed`: everything about a micro-batch that can be wrong,
 * before any work.
 *
 * @throws BackendError 'ERR_SHAPE' naming the field, the value found and what was expected.
 */
export function checkMicroBatch(batch: MicroBatch, limits: MicroBatchLimits): void {
  const tokens = batch.tokenIds.length;
  requireIndex('index', batch.index, limits.microBatchCount);
  if (tokens > limits.tokensPerMicroBatchMax) {
    throw wrong('tokenIds', `${tokens} tokens`, `at most ${limits.tokensPerMicroBatchMax}`);
  }
  if (batch.positions.length !== tokens) {
    throw wrong('positions', `${batch.positions.length} entries`, `one per token, ${tokens}`);
  }
  requirePrefixSum('offsets', batch.offsets, tokens);
  requirePrefixSum('kvPageOffsets', batch.kvPageOffsets, batch.kvPages.length);
  if (batch.kvPageOffsets.length !== batch.offsets.length) {
    const [found, expected] = [batch.kvPageOffsets.length, batch.offsets.length];
    throw wrong('kvPageOffsets', `${found} entries`, `as many as offsets, ${expected}`);
  }
  batch.tokenIds.forEach((id, i) => {
    requireIndex(`tokenIds[${i}]`, id, limits.vocabSize);
  });
  batch.kvPages.forEach((page, i) => {
    requireIndex(`kvPages[${i}]`, page, limits.kvPageCount);
  });
  requirePositions(batch, limits);
  requireLogitsRows(batch.logitsRows, tokens);
}

/** Positions count up within a sequence, stay below the rotary table's end and have a page each. */
function requirePositions(batch: MicroBatch, limits: MicroBatchLimits): void {
  for (let sequence = 0; sequence + 1 < batch.offsets.length; sequence += 1) {
    const start = batch.offsets[sequence] as number;
    const end = batch.offsets[sequence + 1] as number;
    const [pagesStart, pagesEnd] = batch.kvPageOffsets.subarray(sequence, sequence + 2);
    const positionsWithPage = ((pagesEnd ?? 0) - (pagesStart ?? 0)) * limits.kvPageSize;
    for (let token = start; token < end; token += 1) {
      const position = batch.positions[token] as number;
      requireIndex(`positions[${token}]`, position, limits.positionsMax);
      if (token > start && position !== (batch.positions[token - 1] as number) + 1) {
        throw wrong(`positions[${token}]`, position, 'one more than the token before it');
      }
      if (position >= positionsWithPage) {
        const expected = `less than ${positionsWithPage}, the end of its sequence's pages`;
        throw wrong(`positions[${token}]`, position, expected);
      }
    }
  }
}

function requireLogitsRows(rows: Int32Array, tokens: number): void {
  rows.forEach((row, i) => {
    requireIndex(`logitsRows[${i}]`, row, tokens);
    if (i > 0 && row <= (rows[i - 1] as number)) {
      throw wrong(`logitsRows[${i}]`, row, 'more than the row before it');
    }
  });
}

function requirePrefixSum(field: string, sums: Int32Array, total: number): void {
  if (sums[0] !== 0) throw wrong(field, `first entry ${sums[0] ?? '(none)'}`, '0');
  sums.forEach((sum, i) => {
    if (i > 0 && sum < (sums[i - 1] as number)) {
      throw wrong(`${field}[${i}]`, sum, 'no less than the entry before it');
    }
  });
  const last = sums[sums.length - 1];
  if (last !== total) throw wrong(field, `last entry ${last ?? '(none)'}`, total);
}

function requireIndex(field: string, value: number, count: number): void {
  if (!Number.isInteger(value) || value < 0 || value >= count) {
    throw wrong(field, value, `0 … ${count - 1}`);
  }
}

function wrong(field: string, found: string | number, expected: string | number): BackendError {
  return new BackendError('ERR_SHAPE', {
    message: `Micro-batch field ${field}: found ${found}, expected ${expected}.`,
    details: { field, found, expected },
  });
}
