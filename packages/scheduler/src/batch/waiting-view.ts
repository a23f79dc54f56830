import type { SequenceId, WaitingView } from '@megascale/core';
import type { SequenceRequest, TokenHistory } from '../sequence/sequence.js';

/**
 * What policies see of a sequence while it waits. One object for all its life, brought up to date when it begins to wait and when its prefix is looked up:
 * thousands of them are looked at in every step. A policy that writes to it harms nobody else, since every field that changes is written anew.
 */
export class WaitingSequenceView implements WaitingView {
  readonly id: SequenceId;
  readonly arrivedAtMs: number;
  readonly priority: number;
  readonly tenant: string | undefined;
  readonly ttftTargetMs: number | undefined;
  readonly tpotTargetMs: number | undefined;
  outputTokens = 0;
  firstTokenAtMs: number | undefined = undefined;
  lastTokenAtMs: number | undefined = undefined;
  preemptions = 0;
  contextTokens = 0;
  kvPages = 0;
  tokensLeft = 0;
  /** Left out of the newest view. */
  heldBack = false;
  /** The view that the last plan which named it was made from. */
  #namedIn = 0;

  constructor(request: SequenceRequest) {
    this.id = request.id;
    this.arrivedAtMs = request.arrivedAtMs;
    this.priority = request.priority ?? 0;
    this.tenant = request.tenant;
    this.ttftTargetMs = request.ttftTargetMs;
    this.tpotTargetMs = request.tpotTargetMs;
  }

  get running(): boolean {
    return false;
  }

  get kvPagesFreed(): number {
    return 0;
  }

  /** It waits from now on, with nothing found computed. */
  wait(history: TokenHistory): this {
    this.outputTokens = history.tokens.length - history.promptTokenCount;
    this.firstTokenAtMs = history.firstTokenAtMs;
    this.lastTokenAtMs = history.lastTokenAtMs;
    this.preemptions = history.preemptions;
    return this.find(history, 0, 0);
  }

  /** So many of its first tokens are computed, in so many pages that others hold. */
  find(history: TokenHistory, tokens: number, heldPages: number): this {
    this.heldBack = false;
    this.contextTokens = tokens;
    this.kvPages = heldPages;
    this.tokensLeft = history.tokens.length - tokens;
    return this;
  }

  /** False when a plan for this view named it before. */
  firstNamedIn(viewNumber: number): boolean {
    if (this.#namedIn === viewNumber) return false;
    this.#namedIn = viewNumber;
    return true;
  }
}
