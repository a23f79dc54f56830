import type { StepCost } from '@megascale/core';
import type { SequenceTokens } from './planned-micro-batch.js';
import { splitByTime } from './split-by-time.js';

/**
 * How steps are divided into micro-batches, as tuned by what was measured while they run. It
 * changes only between the plans of two steps.
 */
export interface StepPace {
  /** m: micro-batches of a step at most, from 1 to those that there are slots for. */
  readonly microBatchCount: number;
  /** Of one micro-batch at one layer. Absent: micro-batches hold equal numbers of tokens. */
  readonly attentionCost?: StepCost;
}

/**
 * Divides a step over at most `microBatchCount` micro-batches whose token counts differ by one at
 * most. Single tokens (decode) are dealt out in turn; prefill chunks fill what room is left, in
 * order, and are split where a micro-batch is full. The earlier part of a chunk is in the lower
 * micro-batch, which attends to each layer first: its keys are in the pages when the later part
 * looks for them.
 *
 * Where `lowestMicroBatch` binds tokens, sizes may differ by more, and a micro-batch below the
 * bound ones may be empty. Otherwise none is, and there is none at all for no work.
 *
 * With a `cost` that says how a token's time grows with its context, micro-batches are made equally
 * long instead (`splitByTime`).
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
      `${total} tokens do not fit in ${microBatchCount} micro-batches of ` +
        `${tokensPerMicroBatchMax}; lower maxNumBatchedTokens.`,
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

/** Places single tokens, those first that are bound to some micro-batches. */
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

/** Places each bound token in the emptiest micro-batch it may be in, before the free ones. */
function dealOutBound(work: readonly SequenceTokens[], parts: readonly SequenceTokens[][]): void {
  const bound = work
    .filter(({ tokens, lowestMicroBatch = 0 }) => tokens === 1 && lowestMicroBatch > 0)
    .sort((a, b) => (b.lowestMicroBatch ?? 0) - (a.lowestMicroBatch ?? 0));
  for (const decode of bound) emptiest(parts, decode.lowestMicroBatch ?? 0)?.push(decode);
}

/** The first part with the fewest tokens, from `lowest` on; all hold single tokens. */
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

/**
 * [micro-batches] how many more tokens each takes, so that they hold `total` together and differ as
 * little as may be.
 */
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
