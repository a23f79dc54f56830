import type { StepCost } from '@megascale/core';
import { keysSeenBy } from '../cost/step-cost-learner.js';
import type { SequenceTokens } from './planned-micro-batch.js';

interface Part {
  readonly work: SequenceTokens[];
  tokens: number;
  /** Predicted microseconds, without what every micro-batch costs anyway. */
  us: number;
}

/**
 * Divides a step over `count` micro-batches that are expected to take equally long. Single tokens,
 * the longest context first, go to the micro-batch that is done soonest; then prefill chunks, in
 * order, fill up what is left below a common level. No micro-batch is expected to take longer than
 * the mean and the longest single token together, where nothing binds tokens.
 *
 * The caller has checked that the work fits. Where `lowestMicroBatch` binds, micro-batches below
 * may stay empty; otherwise none does.
 *
 * @returns [count] the parts of each micro-batch.
 */
export function splitByTime(
  work: readonly SequenceTokens[],
  cost: StepCost,
  { count, tokensMax }: { readonly count: number; readonly tokensMax: number },
): SequenceTokens[][] {
  const parts = Array.from({ length: count }, (): Part => ({ work: [], tokens: 0, us: 0 }));
  const singles = work.filter(({ tokens }) => tokens === 1);
  for (const single of singles.sort(byPlaceThenTime)) {
    const part = soonestDone(parts, single.lowestMicroBatch ?? 0, tokensMax);
    if (part !== undefined) add(part, single, cost);
  }
  placeChunks(
    work.filter(({ tokens }) => tokens > 1),
    parts,
    { cost, tokensMax },
  );
  return parts.map((part) => part.work);
}

/** Orders tokens by how few micro-batches they may be in, then the longest context first. */
function byPlaceThenTime(a: SequenceTokens, b: SequenceTokens): number {
  const places = (b.lowestMicroBatch ?? 0) - (a.lowestMicroBatch ?? 0);
  return places || b.firstPosition - a.firstPosition;
}

function soonestDone(parts: readonly Part[], lowest: number, tokensMax: number): Part | undefined {
  let best: Part | undefined;
  for (let index = lowest; index < parts.length; index += 1) {
    const part = parts[index];
    if (part === undefined || part.tokens >= tokensMax) continue;
    if (best === undefined || part.us < best.us) best = part;
  }
  return best;
}

/**
 * Places chunks one after the other, in micro-batches from the first on: a chunk's earlier tokens
 * are in the lower micro-batch. Each micro-batch takes, to the nearest token, what those behind it
 * do not need for the common level, so that no more than half a token is ever carried on.
 */
function placeChunks(
  chunks: readonly SequenceTokens[],
  parts: readonly Part[],
  limits: { readonly cost: StepCost; readonly tokensMax: number },
): void {
  const { cost, tokensMax } = limits;
  const left = [...chunks];
  let leftUs = chunks.reduce((sum, chunk) => sum + usOf(chunk, cost), 0);
  let leftTokens = chunks.reduce((sum, { tokens }) => sum + tokens, 0);
  let level = waterLevel(parts, leftUs);
  for (const [index, part] of parts.entries()) {
    const later = parts.slice(index + 1);
    const least = leftTokens - later.reduce((sum, { tokens }) => sum + tokensMax - tokens, 0);
    // None of the later ones is to stay empty.
    const most = Math.min(tokensMax - part.tokens, leftTokens - later.filter(isEmpty).length);
    const shareUs = part.us < level ? leftUs - neededUs(later, level) : 0;
    const wanted = tokensOfUs(left, shareUs, cost);
    const taken = Math.max(Math.min(wanted, most), least, firstOf(part));
    const usBefore = part.us;
    for (const chunk of takeTokens(left, taken)) add(part, chunk, cost);
    leftUs -= part.us - usBefore;
    leftTokens -= taken;
    if (taken !== wanted) level = waterLevel(later, leftUs);
  }
  if (leftTokens > 0) throw new RangeError('The work does not fit in its micro-batches.');
}

/** The time that is missing until each of these parts takes `level`. */
function neededUs(parts: readonly Part[], level: number): number {
  return parts.reduce((sum, { us }) => sum + Math.max(0, level - us), 0);
}

/** How many of the first tokens of these chunks take `us`, to the nearest token. */
function tokensOfUs(chunks: readonly SequenceTokens[], us: number, cost: StepCost): number {
  let restUs = us;
  let count = 0;
  for (const chunk of chunks) {
    const tokens = tokensUpTo(chunk, restUs, cost);
    count += tokens;
    if (tokens < chunk.tokens) break;
    restUs -= usOf(chunk, cost);
  }
  return count;
}

/** Takes the first `count` tokens out of `chunks`. */
function takeTokens(chunks: SequenceTokens[], count: number): SequenceTokens[] {
  const taken: SequenceTokens[] = [];
  for (let rest = count; rest > 0;) {
    const chunk = chunks.shift();
    if (chunk === undefined) break;
    const tokens = Math.min(rest, chunk.tokens);
    taken.push(from(chunk, 0, tokens));
    if (tokens < chunk.tokens) chunks.unshift(from(chunk, tokens, chunk.tokens - tokens));
    rest -= tokens;
  }
  return taken;
}

function isEmpty({ tokens }: Part): boolean {
  return tokens === 0;
}

function firstOf(part: Part): number {
  return isEmpty(part) ? 1 : 0;
}

function from({ sequence, firstPosition }: SequenceTokens, skip: number, tokens: number) {
  return { sequence, firstPosition: firstPosition + skip, tokens };
}

function add(part: Part, work: SequenceTokens, cost: StepCost): void {
  part.work.push(work);
  part.tokens += work.tokens;
  part.us += usOf(work, cost);
}

function usOf({ firstPosition, tokens }: SequenceTokens, cost: StepCost): number {
  return cost.tokenUs * tokens + cost.contextTokenUs * keysSeenBy(firstPosition, tokens);
}

/** How many of a chunk's first tokens take `us`, to the nearest token. */
function tokensUpTo({ firstPosition, tokens }: SequenceTokens, us: number, cost: StepCost): number {
  const usUpTo = (count: number): number =>
    cost.tokenUs * count + cost.contextTokenUs * keysSeenBy(firstPosition, count);
  let low = 0;
  let high = tokens;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (usUpTo(middle) <= us) low = middle;
    else high = middle - 1;
  }
  const nextIsNearer = low < tokens && us - usUpTo(low) > usUpTo(low + 1) - us;
  return nextIsNearer ? low + 1 : low;
}

/** The level up to which `volume` fills these parts: Σ max(0, level − load) = volume. */
function waterLevel(parts: readonly Part[], volume: number): number {
  const sorted = parts.map(({ us }) => us).sort((a, b) => a - b);
  let below = 0;
  for (const [index, load] of sorted.entries()) {
    below += load;
    const level = (below + volume) / (index + 1);
    if (level <= (sorted[index + 1] ?? Infinity)) return level;
  }
  return 0;
}
