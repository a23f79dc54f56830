import type { RunningView, SequenceId } from '@megascale/core';
import {
  tokensLeft,
  type RunningSequence,
  type SequenceRequest,
  type TokenHistory,
} from './sequence.js';

/**
 * What policies see of one sequence. One object for all its life, brought up to date for every view it is in: thousands of them are looked at in every
 * step. A policy that writes to it harms nobody else, since every field that changes is written anew.
 */
export class SequenceView implements RunningView {
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
  kvPagesFreed = 0;
  tokensLeft = 0;
  running = false;
  /** Waiting: left out of the newest view. */
  heldBack = false;
  /** Running: the view it was shown in last. */
  #shownIn = 0;
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

  /** It waits from now on, with nothing found computed. */
  wait(history: TokenHistory): this {
    this.outputTokens = history.tokens.length - history.promptTokenCount;
    this.firstTokenAtMs = history.firstTokenAtMs;
    this.lastTokenAtMs = history.lastTokenAtMs;
    this.preemptions = history.preemptions;
    this.kvPagesFreed = 0;
    return this.find(history, 0, 0);
  }

  /** So many of its first tokens are computed, in so many pages that others hold. */
  find(history: TokenHistory, tokens: number, heldPages: number): this {
    this.running = false;
    this.heldBack = false;
    this.contextTokens = tokens;
    this.kvPages = heldPages;
    this.tokensLeft = history.tokens.length - tokens;
    return this;
  }

  run(sequence: RunningSequence, kvPagesFreed: number, viewNumber: number): this {
    const { history } = sequence;
    this.running = true;
    this.#shownIn = viewNumber;
    this.outputTokens = history.tokens.length - history.promptTokenCount;
    this.firstTokenAtMs = history.firstTokenAtMs;
    this.lastTokenAtMs = history.lastTokenAtMs;
    this.contextTokens = sequence.computedTokens;
    this.kvPages = sequence.kvPages.length;
    this.kvPagesFreed = kvPagesFreed;
    this.tokensLeft = tokensLeft(sequence);
    return this;
  }

  /** Whether a policy could know it from this view, the newest one. */
  isShownIn(viewNumber: number, state: 'waiting' | 'running'): boolean {
    return state === 'waiting' ? !this.heldBack : this.#shownIn === viewNumber;
  }

  /** False when a plan for this view named it before. */
  firstNamedIn(viewNumber: number): boolean {
    if (this.#namedIn === viewNumber) return false;
    this.#namedIn = viewNumber;
    return true;
  }
}
