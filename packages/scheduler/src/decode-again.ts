import type { MicroBatch } from '@megascale/core';
import type { PlannedMicroBatch, SequenceTokens } from './micro-batches.js';
import type { RunningSequence } from './running-sequence.js';
import type { Seats } from './seats.js';

/**
 * The micro-batch that computes one more token of each of its sequences where `previous`, of the step before, did the same for the same ones: what says who is where is
 * taken over, and page tables are copied as a whole. Undefined where anything is different.
 *
 * It shares arrays with `previous`, except those that anybody writes to. The page tables are the same as then, but for pages at their ends.
 */
export function decodeAgain(
  previous: PlannedMicroBatch,
  parts: readonly SequenceTokens[],
  seats: Seats,
  kvPageSize: number,
): PlannedMicroBatch | undefined {
  const { batch, logits, ids } = previous;
  const { kvPageOffsets, offsets, logitsRows } = batch;
  const rows = logits.length;
  if (rows !== parts.length || rows !== batch.tokenIds.length) return undefined;
  const { computedTokens, awaitedIn, newestTokens } = seats;
  const { buffer } = new Int32Array(2 * rows);
  const tokenIds = new Int32Array(buffer, 0, rows);
  const positions = new Int32Array(buffer, rows * Int32Array.BYTES_PER_ELEMENT, rows);
  let awaits = false;
  let newPages = 0;
  for (let row = 0; row < rows; row += 1) {
    const { sequence, tokens } = parts[row] ?? nothing;
    const { sequence: before, type } = logits[row] ?? nothing;
    if (sequence === undefined || sequence !== before) return undefined;
    const { seat } = sequence;
    const position = computedTokens[seat] ?? 0;
    const decodes = type === 'sample' && tokens === 1 && seats.knownTokens(seat) === position + 1;
    if (!decodes) return undefined;
    tokenIds[row] = newestTokens[seat] ?? 0;
    positions[row] = position;
    awaits ||= (awaitedIn[seat] ?? -1) >= 0;
    const pages = (kvPageOffsets[row + 1] ?? 0) - (kvPageOffsets[row] ?? 0);
    if (position >= pages * kvPageSize) newPages += 1;
  }
  const tables =
    newPages === 0 ? batch : longerTables(previous, newPages, seats, positions, kvPageSize);
  return {
    batch: {
      ...{ index: batch.index, tokenIds, positions, offsets, logitsRows },
      kvPages: tables.kvPages,
      kvPageOffsets: tables.kvPageOffsets,
    },
    ...{ logits, ids, awaits },
  };
}

const nothing: {
  readonly sequence?: RunningSequence;
  readonly tokens?: number;
  readonly type?: string;
} = {};

/** The page tables of `previous`, `newPages` of them with one more page. */
function longerTables(
  { batch, logits }: PlannedMicroBatch,
  newPages: number,
  seats: Seats,
  positions: Int32Array,
  kvPageSize: number,
): Pick<MicroBatch, 'kvPages' | 'kvPageOffsets'> {
  const { kvPages: pagesBefore, kvPageOffsets: offsetsBefore } = batch;
  const pageCount = pagesBefore.length + newPages;
  const { buffer } = new Int32Array(pageCount + offsetsBefore.length);
  const kvPages = new Int32Array(buffer, 0, pageCount);
  const kvPageOffsets = new Int32Array(buffer, pageCount * Int32Array.BYTES_PER_ELEMENT);
  let read = 0;
  let written = 0;
  for (let row = 0; row < positions.length; row += 1) {
    const start = read;
    for (const end = offsetsBefore[row + 1] ?? 0; read < end; read += 1) {
      kvPages[written] = pagesBefore[read] ?? 0;
      written += 1;
    }
    if ((positions[row] ?? 0) >= (read - start) * kvPageSize) {
      kvPages[written] = seats.pages.at(logits[row]?.sequence.seat ?? 0, read - start) ?? 0;
      written += 1;
    }
    kvPageOffsets[row + 1] = written;
  }
  return { kvPages, kvPageOffsets };
}
