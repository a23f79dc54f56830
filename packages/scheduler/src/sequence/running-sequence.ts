import type { SequenceId } from '@megascale/core';
import type { PrefixNode } from '../kv/prefix-tree.js';
import type { PlannedRow, SequenceTokens } from '../micro-batches/micro-batches.js';
import { neverShared, nobodysSeat, type Seats } from './seats.js';
import type { SequenceRequest } from './sequence.js';
import type { GrowingHistory } from './token-history.js';

const neverSampled = -1;
const severalEnds = -2;

/** A sequence that holds pages and is computed. What changes in every step stands in its seat. */
export class RunningSequence {
  readonly state = 'running';
  readonly id: SequenceId;
  readonly history: GrowingHistory;
  readonly seats: Seats;
  /** The row of logits that its next token is chosen from, in any step. */
  readonly sampleRow: PlannedRow;
  /** What the newest step with it computes of it. */
  readonly #next: { -readonly [Field in keyof SequenceTokens]: SequenceTokens[Field] };
  readonly #endToken: number;
  #seat: number;
  #sharedUpTo: PrefixNode | undefined;
  #sharedPages = 0;

  constructor(history: GrowingHistory, seats: Seats) {
    this.id = history.request.id;
    this.history = history;
    this.seats = seats;
    this.sampleRow = { type: 'sample', history, sequence: this };
    this.#next = { sequence: this, firstPosition: 0, tokens: 0, lowestMicroBatch: 0 };
    this.#endToken = endTokenOf(history.request);
    this.#seat = history.sit(seats);
  }

  /** `nobodysSeat` once it runs no more. */
  get seat(): number {
    return this.#seat;
  }

  /** Tokens whose keys and values are in the pages: positions 0 … computedTokens − 1. */
  get computedTokens(): number {
    return this.seats.computedTokens[this.#seat] ?? 0;
  }

  set computedTokens(tokens: number) {
    this.seats.computedTokens[this.#seat] = tokens;
  }

  /** Its next `tokens` tokens, as a step computes them; the same object each time, so good until it is asked again. */
  next(tokens: number): SequenceTokens {
    const { seats } = this;
    const next = this.#next;
    next.firstPosition = seats.computedTokens[this.#seat] ?? 0;
    next.tokens = tokens;
    next.lowestMicroBatch = Math.max(0, seats.awaitedIn[this.#seat] ?? 0);
    return next;
  }

  /** The micro-batch of the step in flight that has yet to sample its next token; the following step may be planned before it does. */
  get awaitedIn(): number | undefined {
    const microBatch = this.seats.awaitedIn[this.#seat] ?? -1;
    return microBatch < 0 ? undefined : microBatch;
  }

  set awaitedIn(microBatch: number | undefined) {
    this.seats.awaitedIn[this.#seat] = microBatch ?? -1;
  }

  /** Down to where its pages are offered to others; undefined where they are not. */
  get sharedUpTo(): PrefixNode | undefined {
    return this.#sharedUpTo;
  }

  /** Pages that are offered. */
  get sharedPages(): number {
    return this.#sharedPages;
  }

  /** Whether more of its pages are full than are offered. */
  get isSharingDue(): boolean {
    const { computedTokens, shareAt } = this.seats;
    return (computedTokens[this.#seat] ?? 0) >= (shareAt[this.#seat] ?? neverShared);
  }

  /** Its first `pages` pages are offered, down to `node`, and the next when they are full; undefined: no others will be. */
  offer(node: PrefixNode | undefined, pages: number, kvPageSize: number): void {
    this.#sharedUpTo = node;
    this.#sharedPages = pages;
    this.seats.shareAt[this.#seat] = node === undefined ? neverShared : (pages + 1) * kvPageSize;
  }

  /** One more token is known, and awaited no more. The reason to end after it, if it gives one. */
  append(tokenId: number, nowMs: number): 'stop' | 'length' | undefined {
    const { seats } = this;
    const seat = this.#seat;
    if (seats.append(seat, tokenId, nowMs)) this.history.settle();
    if (this.#isEnd(tokenId)) return 'stop';
    return (seats.tokenCounts[seat] ?? 0) >= (seats.tokensMax[seat] ?? 0) ? 'length' : undefined;
  }

  /** Its last known token. */
  get newestToken(): number {
    return this.seats.newestTokens[this.#seat] ?? 0;
  }

  /** Tokens known so far, and the one that is being sampled now. */
  get knownTokens(): number {
    return this.seats.knownTokens(this.#seat);
  }

  /** Whether the token that is being sampled now is its last one, whatever it will be. */
  get endsWithAwaitedToken(): boolean {
    const { awaitedIn, tokensMax } = this.seats;
    return (awaitedIn[this.#seat] ?? -1) >= 0 && this.knownTokens >= (tokensMax[this.#seat] ?? 0);
  }

  /** Logits of prompt tokens are wanted too. */
  get wantsPromptLogits(): boolean {
    return this.seats.wantsPromptLogits[this.#seat] === 1;
  }

  /** Logits of the row at this position are there, and wanted. */
  notePromptLogits(position: number): void {
    const { history } = this;
    history.promptLogitsDelivered = Math.max(history.promptLogitsDelivered, position + 1);
  }

  /** Whether its newest token is the first that was sampled here. */
  get hasFirstToken(): boolean {
    return this.seats.tokenCounts[this.#seat] === this.seats.firstEmitted[this.#seat];
  }

  /** It ended or was preempted: its seat is another's. */
  leave(): void {
    this.history.leave();
    this.#seat = nobodysSeat;
  }

  #isEnd(tokenId: number): boolean {
    if (this.#endToken !== severalEnds) return tokenId === this.#endToken;
    return this.history.request.eosTokenIds.includes(tokenId);
  }
}

/** Mostly there is one end-of-sequence token or none. */
function endTokenOf({ ignoreEos, eosTokenIds }: SequenceRequest): number {
  if (ignoreEos || eosTokenIds.length === 0) return neverSampled;
  return eosTokenIds.length > 1 ? severalEnds : (eosTokenIds[0] ?? neverSampled);
}
