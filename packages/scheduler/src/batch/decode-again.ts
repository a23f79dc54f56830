import type {
  PlannedMicroBatch,
  SequenceTokens,
  StepMaterial,
} from '../micro-batches/micro-batches.js';

/**
 * The micro-batch that computes one more token of each of its sequences where `previous`, of the step before, did the same for the same ones: what says who is where is
 * taken over, and page tables are copied as a whole. Undefined where anything is different.
 *
 * It shares arrays with `previous`, except those that anybody writes to. The page tables are the same as then, but for pages at their ends.
 */
export function decodeAgain(
  previous: PlannedMicroBatch,
  parts: readonly SequenceTokens[],
  { seats, arrays }: StepMaterial,
  kvPageSize: number,
): PlannedMicroBatch | undefined {
  const { batch, logits, ids } = previous;
  const { kvPageOffsets, offsets, logitsRows } = batch;
  const rows = logits.length;
  if (rows !== parts.length || rows !== batch.tokenIds.length) return undefined;
  const { computedTokens, awaitedIn, newestTokens } = seats;
  const tokenIds = arrays.take(rows);
  const positions = arrays.take(rows);
  let awaits = false;
  let newPages = 0;
  for (let row = 0; row < rows; row += 1) {
    const part = parts[row];
    const before = logits[row];
    if (part === undefined || part.sequence !== before?.sequence) return undefined;
    const { sequence, tokens } = part;
    const { seat } = sequence;
    const position = computedTokens[seat] ?? 0;
    const decodes = tokens === 1 && seats.knownTokens(seat) === position + 1;
    if (!decodes || before.type !== 'sample') return undefined;
    tokenIds[row] = newestTokens[seat] ?? 0;
    positions[row] = position;
    awaits ||= (awaitedIn[seat] ?? -1) >= 0;
    const pages = (kvPageOffsets[row + 1] ?? 0) - (kvPageOffsets[row] ?? 0);
    if (position >= pages * kvPageSize) newPages += 1;
  }
  const { index, kvPages } = batch;
  const again = { index, tokenIds, positions, offsets, kvPages, kvPageOffsets, logitsRows };
  if (newPages === 0) return { batch: again, logits, ids, awaits };
  const pages = arrays.take(kvPages.length + newPages);
  const pageOffsets = arrays.take(rows + 1);
  let copied = 0;
  let start = 0;
  let added = 0;
  for (let row = 0; row < rows; row += 1) {
    const end = kvPageOffsets[row + 1] ?? 0;
    if ((positions[row] ?? 0) >= (end - start) * kvPageSize) {
      pages.set(kvPages.subarray(copied, end), copied + added);
      pages[end + added] = seats.pages.at(logits[row]?.sequence.seat ?? 0, end - start) ?? 0;
      copied = end;
      added += 1;
    }
    pageOffsets[row + 1] = end + added;
    start = end;
  }
  pages.set(kvPages.subarray(copied), copied + added);
  return { batch: { ...again, kvPages: pages, kvPageOffsets: pageOffsets }, logits, ids, awaits };
}
