import {
  microBatchIndex,
  type MicroBatch,
  type MicroBatchIndex,
  type SequenceId,
  type StepCost,
} from '@megascale/core';
import { decodeAgain } from '../batch/decode-again.js';
import { IntArrays } from '../sequence/int-arrays.js';
import type { Seats } from '../sequence/seats.js';
import type { StepPace } from '../batch/step-pace.js';
import { splitByTime } from './split-by-time.js';
import { pagesForTokens } from '../kv/page-pool.js';
import type { RunningSequence } from '../sequence/running-sequence.js';
import type { TokenHistory } from '../sequence/sequence.js';

/** What a step computes of one sequence: `tokens` tokens from position `firstPosition` on. */
export interface SequenceTokens {
  readonly sequence: RunningSequence;
  readonly firstPosition: number;
  /** At least 1. */
  readonly tokens: number;
  /** Of a single token that an earlier step is still sampling, in this micro-batch: it may stand in this one or a later one. Default 0. */
  readonly lowestMicroBatch?: number;
}

/** What one row of a micro-batch's logits is for; its position is `positionOfLogits`. */
export interface LogitsRow {
  /** 'sample': choose the token at position + 1. 'prompt': the token at position + 1 is known, its log-probability is wanted. */
  readonly type: 'sample' | 'prompt';
  readonly history: TokenHistory;
}

/** The position of the token that row `row` of the micro-batch's logits belongs to; `row` < logitsRows. */
export function positionOfLogits({ logitsRows, positions }: MicroBatch, row: number): number {
  return positions[logitsRows[row] ?? 0] ?? 0;
}

/** The same, with whose row it is. */
export interface PlannedRow extends LogitsRow {
  readonly sequence: RunningSequence;
}

/** A micro-batch, and row by row what its logits are for. */
export interface PlannedMicroBatch {
  readonly batch: MicroBatch;
  /** [logitsRows] */
  readonly logits: readonly PlannedRow[];
  /** [sequences of the batch] whose tokens they are. */
  readonly ids: readonly SequenceId[];
  /** An earlier step is still sampling some of its tokens: they are written when the micro-batch starts. */
  readonly awaits: boolean;
}

/**
 * Divides a step over at most `microBatchCount` micro-batches whose token counts differ by one at most. Single tokens (decode)
 * are dealt out in turn; prefill chunks fill what room is left, in order, and are cut where a micro-batch is full. The earlier
 * part of a chunk is in the lower micro-batch, which attends to each layer first: its keys are in the pages when the later part looks for them.
 *
 * Where `lowestMicroBatch` binds tokens, sizes may differ by more, and a micro-batch below the bound ones may be empty. Otherwise none
 * is, and there is none at all for no work.
 *
 * With a `cost` that says how a token's time grows with its context, micro-batches are made equally long instead (`splitByTime`).
 *
 * @throws RangeError when the work exceeds microBatchCount × tokensPerMicroBatchMax tokens.
 */
export function splitMicroBatches(
  work: readonly SequenceTokens[],
  microBatchCount: number,
  tokensPerMicroBatchMax: number,
  cost?: StepCost,
): SequenceTokens[][] {
  let total = 0;
  let bound = 0;
  for (const { tokens, lowestMicroBatch = 0 } of work) {
    total += tokens;
    bound = Math.max(bound, lowestMicroBatch);
  }
  if (total > microBatchCount * tokensPerMicroBatchMax) {
    throw new RangeError(
      `${total} tokens do not fit in ${microBatchCount} micro-batches of ${tokensPerMicroBatchMax}; lower maxNumBatchedTokens.`,
    );
  }
  const count = Math.max(Math.min(microBatchCount, total), bound + 1);
  if (cost !== undefined && cost.contextTokenUs > 0 && total > 0) {
    return splitByTime(work, cost, { count, tokensMax: tokensPerMicroBatchMax });
  }
  const parts: SequenceTokens[][] = Array.from({ length: total === 0 ? 0 : count }, () => []);
  dealOutSingle(work, parts, bound);
  if (total === work.length) return parts;
  const room = roomForChunks(parts, total, tokensPerMicroBatchMax);
  let index = 0;
  for (const { sequence, firstPosition, tokens } of work.filter((chunk) => chunk.tokens > 1)) {
    let placed = 0;
    while (placed < tokens) {
      while (room[index] === 0) index += 1;
      const partTokens = Math.min(tokens - placed, room[index] ?? 0);
      parts[index]?.push({ sequence, firstPosition: firstPosition + placed, tokens: partTokens });
      room[index] = (room[index] ?? 0) - partTokens;
      placed += partTokens;
    }
  }
  return parts;
}

/** Single tokens, those first that are bound to some micro-batches. */
function dealOutSingle(
  work: readonly SequenceTokens[],
  parts: readonly SequenceTokens[][],
  bound: number,
): void {
  if (bound > 0) dealOutBound(work, parts);
  let turn = 0;
  for (const each of work) {
    if (each.tokens > 1 || (each.lowestMicroBatch ?? 0) > 0) continue;
    const part = bound > 0 ? emptiest(parts, 0) : parts[turn];
    part?.push(each);
    turn = turn + 1 === parts.length ? 0 : turn + 1;
  }
}

/** To the emptiest micro-batch they may be in, before the free ones are dealt out in turn. */
function dealOutBound(work: readonly SequenceTokens[], parts: readonly SequenceTokens[][]): void {
  const bound = work
    .filter(({ tokens, lowestMicroBatch = 0 }) => tokens === 1 && lowestMicroBatch > 0)
    .sort((a, b) => (b.lowestMicroBatch ?? 0) - (a.lowestMicroBatch ?? 0));
  for (const decode of bound) emptiest(parts, decode.lowestMicroBatch ?? 0)?.push(decode);
}

/** From `lowest` on the first of those with the fewest tokens; all hold single tokens. */
function emptiest(
  parts: readonly SequenceTokens[][],
  lowest: number,
): SequenceTokens[] | undefined {
  let best = parts[lowest];
  for (let index = lowest + 1; index < parts.length; index += 1) {
    const part = parts[index];
    if (part !== undefined && best !== undefined && part.length < best.length) best = part;
  }
  return best;
}

/** [micro-batches] how many more tokens each takes, so that they hold `total` together and differ as little as may be. */
function roomForChunks(
  parts: readonly SequenceTokens[][],
  total: number,
  tokensMax: number,
): number[] {
  const loads = parts.map((part) => part.length);
  let left = total - loads.reduce((sum, load) => sum + load, 0);
  const sizes = [...loads];
  while (left > 0) {
    const least = Math.min(...sizes.filter((size) => size < tokensMax));
    const lowest = sizes.flatMap((size, index) => (size === least ? [index] : []));
    const above = Math.min(tokensMax, ...sizes.filter((size) => size > least));
    const each = Math.min(above - least, Math.floor(left / lowest.length));
    for (const [place, index] of lowest.entries()) {
      const more = each > 0 ? each : place < left ? 1 : 0;
      sizes[index] = least + more;
    }
    left -= each > 0 ? each * lowest.length : Math.min(left, lowest.length);
  }
  return sizes.map((size, index) => size - (loads[index] ?? 0));
}

/** Typed arrays for the backend from the parts of one micro-batch. Page tables reach to the last token of this micro-batch, no further. */
export function toMicroBatch(
  index: MicroBatchIndex,
  parts: readonly SequenceTokens[],
  kvPageSize: number,
  arrays = new IntArrays(),
): PlannedMicroBatch {
  const sizes = sizesOf(parts, kvPageSize);
  const tokenIds = arrays.take(sizes.tokens);
  const positions = arrays.take(sizes.tokens);
  const offsets = arrays.take(parts.length + 1);
  const kvPageOffsets = arrays.take(parts.length + 1);
  const kvPages = arrays.take(sizes.pages);
  const logitsRows = arrays.take(sizes.logitsRows);
  const logits: PlannedRow[] = [];
  let awaits = false;
  let row = 0;
  let written = 0;
  for (let place = 0; place < parts.length; place += 1) {
    const part = parts[place];
    if (part === undefined) continue;
    const { sequence, firstPosition, tokens } = part;
    const { seats, seat } = sequence;
    const end = firstPosition + tokens;
    const known = seats.knownTokens(seat);
    if (end > known) throw noToken(sequence.history, known);
    const last = Math.min(end, known - 1);
    for (let position = firstPosition; position < last; position += 1) {
      tokenIds[row] = tokenAt(sequence.history, position);
      positions[row] = position;
      if (isPromptRow(sequence, position)) {
        logitsRows[logits.length] = row;
        logits.push({ type: 'prompt', history: sequence.history, sequence });
      }
      row += 1;
    }
    if (end === known) {
      // Another token than the newest one where that is still being sampled: see `awaits`.
      tokenIds[row] = seats.newestTokens[seat] ?? 0;
      awaits ||= (seats.awaitedIn[seat] ?? -1) >= 0;
      positions[row] = end - 1;
      logitsRows[logits.length] = row;
      logits.push(sequence.sampleRow);
      row += 1;
    }
    offsets[place + 1] = row;
    const pages = pagesForTokens(end, kvPageSize);
    seats.pages.copyTo(seat, kvPages, written, pages);
    written += pages;
    kvPageOffsets[place + 1] = written;
  }
  const batch = { index, tokenIds, positions, offsets, kvPages, kvPageOffsets, logitsRows };
  return { batch, logits, ids: parts.map(({ sequence }) => sequence.id), awaits };
}

interface Sizes {
  tokens: number;
  pages: number;
  logitsRows: number;
}

/** Of the arrays of one micro-batch. */
function sizesOf(parts: readonly SequenceTokens[], kvPageSize: number): Sizes {
  const sizes: Sizes = { tokens: 0, pages: 0, logitsRows: 0 };
  for (const { sequence, firstPosition, tokens } of parts) {
    const end = firstPosition + tokens;
    sizes.tokens += tokens;
    sizes.pages += pagesForTokens(end, kvPageSize);
    if (end >= sequence.knownTokens) sizes.logitsRows += 1;
    if (sequence.wantsPromptLogits) {
      sizes.logitsRows += promptRowCount(sequence, firstPosition, end);
    }
  }
  return sizes;
}

/** What steps are built from, besides their work. */
export interface StepMaterial {
  readonly seats: Seats;
  readonly arrays: IntArrays;
  /** The micro-batches of the step before, as long as the page tables they were made from have only grown. */
  readonly previous: readonly PlannedMicroBatch[];
}

/** A step's work as micro-batches, ready for the backend. */
export function buildMicroBatches(
  work: readonly SequenceTokens[],
  material: StepMaterial,
  limits: {
    readonly tokensPerMicroBatchMax: number;
    readonly kvPageSize: number;
    readonly pace: StepPace;
  },
): PlannedMicroBatch[] {
  const { pace, tokensPerMicroBatchMax, kvPageSize } = limits;
  const { microBatchCount, attentionCost } = pace;
  return splitMicroBatches(work, microBatchCount, tokensPerMicroBatchMax, attentionCost).map(
    (parts, index) => {
      const before = material.previous[index];
      const again = before && decodeAgain(before, parts, material, kvPageSize);
      return again ?? toMicroBatch(microBatchIndex(index), parts, kvPageSize, material.arrays);
    },
  );
}

/** Whether the log-probability of the prompt token after this position is still wanted. */
function isPromptRow({ wantsPromptLogits, history }: RunningSequence, position: number): boolean {
  if (!wantsPromptLogits) return false;
  return position < history.promptTokenCount - 1 && position >= history.promptLogitsDelivered;
}

/** Of the rows of these positions, those whose logits are wanted but not sampled from (`isPromptRow`). */
function promptRowCount(sequence: RunningSequence, firstPosition: number, end: number): number {
  const { history, knownTokens } = sequence;
  const first = Math.max(firstPosition, history.promptLogitsDelivered);
  return Math.max(0, Math.min(end, knownTokens - 1, history.promptTokenCount - 1) - first);
}

function tokenAt(history: TokenHistory, position: number): number {
  const token = history.tokens[position];
  if (token === undefined) throw noToken(history, position);
  return token;
}

function noToken({ request }: TokenHistory, position: number): RangeError {
  return new RangeError(`Sequence ${request.id} has no token at position ${position}.`);
}
