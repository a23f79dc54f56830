import { microBatchIndex, type MicroBatchIndex } from '@megascale/core';
import { pagesForTokens } from '../kv/page-pool.js';
import type { RunningSequence } from '../sequence/running-sequence.js';
import type { PlannedMicroBatch, PlannedRow, SequenceTokens } from './planned-micro-batch.js';
import { splitMicroBatches, type StepPace } from './split-micro-batches.js';

const slabLength = 16_384;

/**
 * Arrays of zeros, cut from large ones one after the other: a small array of its own costs far more
 * than what it holds. No two arrays overlap, so a step may keep its arrays for ever.
 */
export class IntArrays {
  #slab = new Int32Array(0);
  #used = 0;

  take(length: number): Int32Array<ArrayBuffer> {
    if (length > slabLength) return new Int32Array(length);
    if (this.#used + length > this.#slab.length) {
      this.#slab = new Int32Array(slabLength);
      this.#used = 0;
    }
    const start = this.#used * Int32Array.BYTES_PER_ELEMENT;
    this.#used += length;
    return new Int32Array(this.#slab.buffer, start, length);
  }
}

/** A step's work as micro-batches, ready for the backend. */
export function buildMicroBatches(
  work: readonly SequenceTokens[],
  arrays: IntArrays,
  limits: {
    readonly tokensPerMicroBatchMax: number;
    readonly kvPageSize: number;
    readonly pace: StepPace;
  },
): PlannedMicroBatch[] {
  const { pace, tokensPerMicroBatchMax, kvPageSize } = limits;
  const { microBatchCount, attentionCost } = pace;
  return splitMicroBatches(work, microBatchCount, tokensPerMicroBatchMax, attentionCost).map(
    (parts, index) => toMicroBatch(microBatchIndex(index), parts, kvPageSize, arrays),
  );
}

/**
 * Typed arrays for the backend from the parts of one micro-batch. Page tables reach to the last
 * token of this micro-batch, no further.
 *
 * @throws RangeError when a sequence has fewer tokens or pages than its part names.
 */
export function toMicroBatch(
  index: MicroBatchIndex,
  parts: readonly SequenceTokens[],
  kvPageSize: number,
  arrays = new IntArrays(),
): PlannedMicroBatch {
  const sizes = sizesOf(parts, kvPageSize);
  const batch = {
    index,
    tokenIds: arrays.take(sizes.tokens),
    positions: arrays.take(sizes.tokens),
    offsets: arrays.take(parts.length + 1),
    kvPages: arrays.take(sizes.pages),
    kvPageOffsets: arrays.take(parts.length + 1),
    logitsRows: arrays.take(sizes.logitsRows),
  };
  const logits: PlannedRow[] = [];
  const addRow = (row: number, type: PlannedRow['type'], sequence: RunningSequence): void => {
    batch.logitsRows[logits.length] = row;
    logits.push({ type, history: sequence.history, sequence });
  };
  let hasPendingTokens = false;
  let row = 0;
  let pagesWritten = 0;
  let place = 0;
  for (const { sequence, firstPosition, tokens } of parts) {
    const { table, slot, knownTokens } = sequence;
    const end = firstPosition + tokens;
    if (end > knownTokens) throw noToken(sequence, knownTokens);
    for (let position = firstPosition; position < end; position += 1) {
      const isNewest = position === knownTokens - 1;
      // While the newest token is still being sampled, the one before it stands in its place.
      batch.tokenIds[row] = isNewest ? sequence.newestToken : tokenAt(sequence, position);
      batch.positions[row] = position;
      if (isNewest) addRow(row, 'sample', sequence);
      else if (isPromptRow(sequence, position)) addRow(row, 'prompt', sequence);
      row += 1;
    }
    hasPendingTokens ||= end === knownTokens && sequence.pendingIn !== undefined;
    place += 1;
    batch.offsets[place] = row;
    const pages = pagesForTokens(end, kvPageSize);
    table.kvPages.copyTo(slot, batch.kvPages, pagesWritten, pages);
    pagesWritten += pages;
    batch.kvPageOffsets[place] = pagesWritten;
  }
  return { batch, logits, ids: parts.map(({ sequence }) => sequence.id), hasPendingTokens };
}

interface Sizes {
  tokens: number;
  pages: number;
  logitsRows: number;
}

/** The lengths of the arrays of one micro-batch. */
function sizesOf(parts: readonly SequenceTokens[], kvPageSize: number): Sizes {
  const sizes: Sizes = { tokens: 0, pages: 0, logitsRows: 0 };
  for (const { sequence, firstPosition, tokens } of parts) {
    const end = firstPosition + tokens;
    sizes.tokens += tokens;
    sizes.pages += pagesForTokens(end, kvPageSize);
    if (end >= sequence.knownTokens) sizes.logitsRows += 1;
    sizes.logitsRows += promptRowCount(sequence, firstPosition, end);
  }
  return sizes;
}

/** Whether the log-probability of the prompt token after this position is still wanted. */
function isPromptRow({ wantsPromptLogits, history }: RunningSequence, position: number): boolean {
  if (!wantsPromptLogits) return false;
  return position < history.promptTokenCount - 1 && position >= history.promptLogitsDelivered;
}

/** How many of the positions `firstPosition` … `end` − 1 `isPromptRow` holds for. */
function promptRowCount(sequence: RunningSequence, firstPosition: number, end: number): number {
  if (!sequence.wantsPromptLogits) return 0;
  const { history, knownTokens } = sequence;
  const first = Math.max(firstPosition, history.promptLogitsDelivered);
  return Math.max(0, Math.min(end, knownTokens - 1, history.promptTokenCount - 1) - first);
}

function tokenAt(sequence: RunningSequence, position: number): number {
  const token = sequence.history.tokens[position];
  if (token === undefined) throw noToken(sequence, position);
  return token;
}

function noToken({ id }: RunningSequence, position: number): RangeError {
  return new RangeError(`Sequence ${id} has no token at position ${position}.`);
}
