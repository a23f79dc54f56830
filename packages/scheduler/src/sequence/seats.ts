import { PageTables } from '../kv/page-tables.js';

/** Newest tokens that a seat keeps until all are asked for: a cache line of them. */
const tailMax = 16;
const seatsAtFirst = 32;
/** What is still written of a sequence that has left goes here. */
export const nobodysSeat = 0;

/** What a seat is taken with. */
export interface Seating {
  readonly promptTokenCount: number;
  /** The prompt and the output so far. */
  readonly tokens: readonly number[];
  /** Output tokens that the client had when the sequence came here. */
  readonly knownOutputTokens: number;
  /** Output tokens at most. */
  readonly maxTokens: number;
  readonly firstTokenAtMs: number | undefined;
  readonly lastTokenAtMs: number | undefined;
  /** Logits of prompt tokens are still wanted. */
  readonly wantsPromptLogits: boolean;
}

/**
 * What every step reads and writes of the sequences that run, a column for each number, by seat: a step walks a few arrays from end to end, not thousands of
 * objects that lie anywhere in memory.
 *
 * A sequence keeps its seat from its start until it ends or is preempted, and the seat is then another's. A step in flight may
 * still write of a sequence that has left: to `nobodysSeat`.
 */
export class Seats {
  /** Tokens whose keys and values are in the pages. */
  computedTokens = new Int32Array(0);
  /** Tokens known: prompt and output. */
  tokenCounts = new Int32Array(0);
  newestTokens = new Int32Array(0);
  promptTokens = new Int32Array(0);
  /** Tokens known when its last one is. */
  tokensMax = new Int32Array(0);
  /** Tokens known when the first one was emitted here. */
  firstEmitted = new Int32Array(0);
  /** The micro-batch of the step in flight that has yet to sample its next token; −1 where there is none. */
  awaitedIn = new Int32Array(0);
  /** Computed tokens with which its next full page is offered to others. */
  shareAt = new Int32Array(0);
  wantsPromptLogits = new Uint8Array(0);
  /** NaN before the first token. */
  firstTokenAtMs = new Float64Array(0);
  lastTokenAtMs = new Float64Array(0);
  readonly pages = new PageTables();
  /** [seats, tailMax] and how many of each: the newest of its known tokens. */
  #tails = new Int32Array(0);
  #tailCounts = new Uint8Array(0);
  readonly #free: number[] = [];

  constructor() {
    this.#resize(seatsAtFirst);
    this.shareAt[nobodysSeat] = neverShared;
  }

  /** A seat that nobody has, with no pages and nothing computed. */
  take(given: Seating): number {
    if (this.#free.length === 0) this.#resize(2 * this.tokenCounts.length);
    const seat = this.#free.pop() ?? 0;
    const { tokens, promptTokenCount, firstTokenAtMs = NaN, lastTokenAtMs = NaN } = given;
    this.computedTokens[seat] = 0;
    this.tokenCounts[seat] = tokens.length;
    this.newestTokens[seat] = tokens[tokens.length - 1] ?? 0;
    this.promptTokens[seat] = promptTokenCount;
    this.tokensMax[seat] = promptTokenCount + given.maxTokens;
    this.firstEmitted[seat] = promptTokenCount + given.knownOutputTokens + 1;
    this.awaitedIn[seat] = -1;
    this.shareAt[seat] = neverShared;
    this.wantsPromptLogits[seat] = given.wantsPromptLogits ? 1 : 0;
    this.firstTokenAtMs[seat] = firstTokenAtMs;
    this.lastTokenAtMs[seat] = lastTokenAtMs;
    return seat;
  }

  giveBack(seat: number): void {
    this.pages.clear(seat);
    this.#tailCounts[seat] = 0;
    this.#free.push(seat);
  }

  /** One more token is known. Whether the tail is full then, and to be emptied before the next. */
  append(seat: number, tokenId: number, nowMs: number): boolean {
    const inTail = this.#tailCounts[seat] ?? 0;
    this.#tails[seat * tailMax + inTail] = tokenId;
    this.#tailCounts[seat] = inTail + 1;
    this.newestTokens[seat] = tokenId;
    this.awaitedIn[seat] = -1;
    const count = (this.tokenCounts[seat] ?? 0) + 1;
    this.tokenCounts[seat] = count;
    if (count === this.firstEmitted[seat]) this.firstTokenAtMs[seat] = nowMs;
    this.lastTokenAtMs[seat] = nowMs;
    return inTail + 1 === tailMax;
  }

  /** Moves the tail to the end of `tokens`. */
  emptyTail(seat: number, tokens: number[]): void {
    const start = seat * tailMax;
    const end = start + (this.#tailCounts[seat] ?? 0);
    for (let place = start; place < end; place += 1) tokens.push(this.#tails[place] ?? 0);
    this.#tailCounts[seat] = 0;
  }

  /** Tokens known, and the one that is being sampled now. */
  knownTokens(seat: number): number {
    return (this.tokenCounts[seat] ?? 0) + ((this.awaitedIn[seat] ?? -1) < 0 ? 0 : 1);
  }

  #resize(count: number): void {
    const before = this.tokenCounts.length;
    const longer = (column: Int32Array<ArrayBuffer>) => copyOf(Int32Array, column, count);
    this.computedTokens = longer(this.computedTokens);
    this.tokenCounts = longer(this.tokenCounts);
    this.newestTokens = longer(this.newestTokens);
    this.promptTokens = longer(this.promptTokens);
    this.tokensMax = longer(this.tokensMax);
    this.firstEmitted = longer(this.firstEmitted);
    this.awaitedIn = longer(this.awaitedIn);
    this.shareAt = longer(this.shareAt);
    this.wantsPromptLogits = copyOf(Uint8Array, this.wantsPromptLogits, count);
    this.firstTokenAtMs = copyOf(Float64Array, this.firstTokenAtMs, count);
    this.lastTokenAtMs = copyOf(Float64Array, this.lastTokenAtMs, count);
    this.#tails = copyOf(Int32Array, this.#tails, count * tailMax);
    this.#tailCounts = copyOf(Uint8Array, this.#tailCounts, count);
    this.pages.resize(count);
    // The lowest is taken first.
    for (let seat = count - 1; seat >= Math.max(1, before); seat -= 1) this.#free.push(seat);
  }
}

/** `shareAt` of a sequence whose pages are not offered. */
export const neverShared = 0x7fffffff;

/** NaN stands for none. */
export function ifNumber(value: number | undefined): number | undefined {
  return value === undefined || Number.isNaN(value) ? undefined : value;
}

type Column = Int32Array<ArrayBuffer> | Uint8Array<ArrayBuffer> | Float64Array<ArrayBuffer>;

function copyOf<Type extends Column>(
  type: new (length: number) => Type,
  column: Type,
  length: number,
): Type {
  const longer = new type(length);
  longer.set(column);
  return longer;
}
