import type { SequenceId } from '@megascale/core';
import type { PrefixNode } from '../kv/prefix-tree.js';
import type { RunningTable } from './running-table.js';
import type { GrowingHistory } from './token-history.js';

/** The pages of a sequence that other sequences may find by their tokens. */
export interface PublishedPrefix {
  /** The last of them; the root of the prefix tree where there is none yet. */
  readonly node: PrefixNode;
  /** How many of the sequence's first pages they are. */
  readonly pages: number;
}

/** A sequence that holds pages and is computed. Its numbers stand in the table, by batch slot. */
export class RunningSequence {
  readonly state = 'running';
  readonly id: SequenceId;
  readonly history: GrowingHistory;
  readonly table: RunningTable;
  /** Valid until the sequence leaves. */
  readonly slot: number;
  /**
   * The micro-batch of the step in flight that has yet to sample its next token. The following step
   * may be planned before it does.
   */
  pendingIn: number | undefined;
  /** Undefined where its pages are not published, or no more of them will be. */
  published: PublishedPrefix | undefined;
  /** Tokens known once it has reached its maxTokens. */
  readonly #tokensMax: number;
  /** Tokens known with the first one that is sampled here. */
  readonly #firstSampled: number;
  readonly #wantsPromptLogits: boolean;
  #hasLeft = false;

  constructor(history: GrowingHistory, table: RunningTable) {
    this.id = history.request.id;
    this.history = history;
    this.table = table;
    const { promptTokenCount, request } = history;
    this.#tokensMax = promptTokenCount + request.maxTokens;
    this.#firstSampled = promptTokenCount + (request.outputTokens?.length ?? 0) + 1;
    this.#wantsPromptLogits = request.promptLogits === true;
    this.slot = table.allocate(history.tokens);
  }

  /** It ended or was preempted. A step that is in flight may still compute rows of it. */
  get hasLeft(): boolean {
    return this.#hasLeft;
  }

  /** Tokens whose keys and values are in the pages: positions 0 … computedTokens − 1. */
  get computedTokens(): number {
    return this.table.computedTokens[this.slot] ?? 0;
  }

  set computedTokens(tokens: number) {
    this.table.computedTokens[this.slot] = tokens;
  }

  /** The same, by the name that policies see. */
  get contextTokens(): number {
    return this.computedTokens;
  }

  /** Tokens known so far, and the one that is being sampled now. */
  get knownTokens(): number {
    const known = this.table.knownTokens[this.slot] ?? 0;
    return this.pendingIn === undefined ? known : known + 1;
  }

  /** Tokens to compute before the next one can be sampled. */
  get tokensLeft(): number {
    return this.knownTokens - this.computedTokens;
  }

  /** Pages that it holds. */
  get kvPages(): number {
    return this.table.kvPages.length(this.slot);
  }

  /** The id of its last known token. */
  get newestToken(): number {
    return this.table.newestToken[this.slot] ?? 0;
  }

  /** Whether the token that is being sampled now is its last one, whatever it will be. */
  get endsWithPendingToken(): boolean {
    return this.pendingIn !== undefined && this.knownTokens >= this.#tokensMax;
  }

  /** Whether the newest token is the first one that was sampled here. */
  get hasFirstToken(): boolean {
    return this.table.knownTokens[this.slot] === this.#firstSampled;
  }

  /** Whether the logits of prompt tokens are wanted. */
  get wantsPromptLogits(): boolean {
    return this.#wantsPromptLogits;
  }

  /** Adds the token that was sampled. Returns the reason to end after it, if it gives one. */
  append(tokenId: number, nowMs: number): 'stop' | 'length' | undefined {
    const { history, table, slot } = this;
    history.append(tokenId, nowMs);
    table.append(slot, tokenId);
    this.pendingIn = undefined;
    const { ignoreEos, eosTokenIds } = history.request;
    if (!ignoreEos && eosTokenIds.includes(tokenId)) return 'stop';
    return history.tokens.length >= this.#tokensMax ? 'length' : undefined;
  }

  /** The logits of the prompt token at this position were delivered. */
  notePromptLogits(position: number): void {
    const { history } = this;
    history.promptLogitsDelivered = Math.max(history.promptLogitsDelivered, position + 1);
  }

  /** Frees its batch slot. The caller frees its pages first. */
  leave(): void {
    this.table.free(this.slot);
    this.pendingIn = undefined;
    this.#hasLeft = true;
  }
}
