import { microBatchIndex, type MicroBatch, type MicroBatchIndex } from '@megascale/core';
import { pagesForTokens } from './kv/page-pool.js';
import type { RunningSequence, TokenHistory } from './sequence.js';

/** What a step computes of one sequence: `tokens` tokens from position `firstPosition` on. */
export interface SequenceTokens {
  readonly sequence: RunningSequence;
  readonly firstPosition: number;
  /** At least 1. */
  readonly tokens: number;
}

/** What one row of a micro-batch's logits is for. */
export interface LogitsRow {
  /** 'sample': choose the token at position + 1. 'prompt': the token at position + 1 is known, its log-probability is wanted. */
  readonly type: 'sample' | 'prompt';
  readonly history: TokenHistory;
  /** Of the token the row belongs to. */
  readonly position: number;
}

/** A micro-batch, and row by row what its logits are for. */
export interface PlannedMicroBatch {
  readonly batch: MicroBatch;
  /** [logitsRows] */
  readonly logits: readonly LogitsRow[];
}

/**
 * Divides a step over at most `microBatchCount` micro-batches whose token counts differ by one at most. Single tokens (decode)
 * are dealt out in turn; prefill chunks fill what room is left, in order, and are cut where a micro-batch is full. The earlier
 * part of a chunk is in the lower micro-batch, which attends to each layer first: its keys are in the pages when the later part looks for them.
 *
 * Returns no empty micro-batch, and none at all for no work.
 *
 * @throws RangeError when the work exceeds microBatchCount × tokensPerMicroBatchMax tokens.
 */
export function splitMicroBatches(
  work: readonly SequenceTokens[],
  microBatchCount: number,
  tokensPerMicroBatchMax: number,
): SequenceTokens[][] {
  const total = work.reduce((sum, { tokens }) => sum + tokens, 0);
  if (total > microBatchCount * tokensPerMicroBatchMax) {
    throw new RangeError(
      `${total} tokens do not fit in ${microBatchCount} micro-batches of ${tokensPerMicroBatchMax}; lower tokensPerStepMax.`,
    );
  }
  const room = microBatchSizes(total, Math.min(microBatchCount, total));
  const parts: SequenceTokens[][] = room.map(() => []);
  const place = (index: number, part: SequenceTokens) => {
    parts[index]?.push(part);
    room[index] = (room[index] ?? 0) - part.tokens;
  };
  for (const [turn, decode] of work.filter(({ tokens }) => tokens === 1).entries()) {
    place(turn % parts.length, decode);
  }
  let index = 0;
  for (const { sequence, firstPosition, tokens } of work.filter((chunk) => chunk.tokens > 1)) {
    let placed = 0;
    while (placed < tokens) {
      while (room[index] === 0) index += 1;
      const partTokens = Math.min(tokens - placed, room[index] ?? 0);
      place(index, { sequence, firstPosition: firstPosition + placed, tokens: partTokens });
      placed += partTokens;
    }
  }
  return parts;
}

/** Typed arrays for the backend from the parts of one micro-batch. Page tables reach to the last token of this micro-batch, no further. */
export function toMicroBatch(
  index: MicroBatchIndex,
  parts: readonly SequenceTokens[],
  kvPageSize: number,
): PlannedMicroBatch {
  const tokenCount = parts.reduce((sum, { tokens }) => sum + tokens, 0);
  const tokenIds = new Int32Array(tokenCount);
  const positions = new Int32Array(tokenCount);
  const offsets = new Int32Array(parts.length + 1);
  const kvPageOffsets = new Int32Array(parts.length + 1);
  const kvPages: number[] = [];
  const logitsRows: number[] = [];
  const logits: LogitsRow[] = [];
  let row = 0;
  for (const [place, { sequence, firstPosition, tokens }] of parts.entries()) {
    const { history } = sequence;
    for (let position = firstPosition; position < firstPosition + tokens; position += 1) {
      tokenIds[row] = tokenAt(history, position);
      positions[row] = position;
      const type = logitsUse(history, position);
      if (type !== undefined) {
        logitsRows.push(row);
        logits.push({ type, history, position });
      }
      row += 1;
    }
    offsets[place + 1] = row;
    const pageCount = pagesForTokens(firstPosition + tokens, kvPageSize);
    for (let page = 0; page < pageCount; page += 1) kvPages.push(pageAt(sequence, page));
    kvPageOffsets[place + 1] = kvPages.length;
  }
  const batch: MicroBatch = {
    index,
    tokenIds,
    positions,
    offsets,
    kvPages: Int32Array.from(kvPages),
    kvPageOffsets,
    logitsRows: Int32Array.from(logitsRows),
  };
  return { batch, logits };
}

/** A step's work as micro-batches, ready for the backend. */
export function buildMicroBatches(
  work: readonly SequenceTokens[],
  limits: {
    readonly microBatchCount: number;
    readonly tokensPerMicroBatchMax: number;
    readonly kvPageSize: number;
  },
): PlannedMicroBatch[] {
  return splitMicroBatches(work, limits.microBatchCount, limits.tokensPerMicroBatchMax).map(
    (parts, index) => toMicroBatch(microBatchIndex(index), parts, limits.kvPageSize),
  );
}

/** Sizes of `count` micro-batches: equal, the first ones one token larger where `total` does not divide. */
function microBatchSizes(total: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => {
    return Math.floor(total / count) + (index < total % count ? 1 : 0);
  });
}

function logitsUse(history: TokenHistory, position: number): LogitsRow['type'] | undefined {
  if (position === history.tokens.length - 1) return 'sample';
  const { promptTokenCount, promptLogitsDelivered, request } = history;
  const isPrompt = position < promptTokenCount - 1 && position >= promptLogitsDelivered;
  return request.promptLogits === true && isPrompt ? 'prompt' : undefined;
}

function tokenAt(history: TokenHistory, position: number): number {
  const token = history.tokens[position];
  if (token === undefined) {
    throw new RangeError(`Sequence ${history.request.id} has no token at position ${position}.`);
  }
  return token;
}

function pageAt(sequence: RunningSequence, index: number): number {
  const page = sequence.kvPages[index];
  if (page === undefined) {
    const { id } = sequence.history.request;
    throw new RangeError(
      `Sequence ${id} has ${sequence.kvPages.length} KV pages, not ${index + 1}.`,
    );
  }
  return page;
}
