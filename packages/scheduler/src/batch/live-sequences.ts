import type { KvPageId, SequenceId } from '@megascale/core';
import { KvCache } from '../kv/kv-cache.js';
import { RunningList } from '../sequence/running-list.js';
import type { RunningSequence } from '../sequence/running-sequence.js';
import { RunningTable } from '../sequence/running-table.js';
import type { FinishReason, SequenceRequest } from '../sequence/sequence-request.js';
import {
  admitSequence,
  finishSequence,
  preemptSequence,
  startSequence,
  type FinishedSequence,
  type LiveSequence,
  type WaitingSequence,
} from '../sequence/sequence.js';
import { WaitingLine } from '../sequence/waiting-line.js';
import type { BatcherLimits } from './batcher-options.js';
import { checkRequest } from './check-request.js';

/** The sequences of one attention worker, waiting and running, and the KV pages they hold. */
export class LiveSequences {
  readonly pages: KvCache;
  readonly waiting: WaitingLine;
  readonly running = new RunningList();
  readonly #table = new RunningTable();
  readonly #sequenceTokensMax: number;
  /** Pages of sequences that ended while the newest step may still write to them. */
  readonly #heldPages: KvPageId[] = [];
  #admissions = 0;
  /** Tokens to compute if every sequence here runs from its start to its maxTokens. */
  #tokensWanted = 0;

  constructor(limits: BatcherLimits) {
    this.pages = new KvCache(limits);
    this.waiting = new WaitingLine(limits.maxQueuedRequests);
    this.#sequenceTokensMax = limits.sequenceTokensMax;
  }

  get size(): number {
    return this.running.size + this.waiting.size;
  }

  find(id: SequenceId): LiveSequence | undefined {
    return this.running.get(id) ?? this.waiting.get(id);
  }

  /** Waiting and running sequences, in the order of admission. */
  all(): LiveSequence[] {
    return [...this.running.all(), ...this.waiting].sort(
      (a, b) => a.history.admissionNumber - b.history.admissionNumber,
    );
  }

  /** Tokens still to compute if every sequence here runs to its maxTokens. */
  get outstandingTokens(): number {
    const computed = this.running.all().reduce((sum, { computedTokens, pendingIn }) => {
      const own = pendingIn === undefined ? computedTokens : computedTokens - 1;
      return sum + own;
    }, 0);
    return this.#tokensWanted - computed;
  }

  /** Throws RequestError 'ERR_REQUEST_INVALID', 'ERR_CONTEXT_LENGTH' or 'ERR_QUEUE_FULL'. */
  addNewcomer(request: SequenceRequest): void {
    this.#check(request);
    this.waiting.expectRoom();
    this.waiting.addNewcomer(this.#admit(request));
  }

  /** Throws RequestError 'ERR_REQUEST_INVALID' or 'ERR_CONTEXT_LENGTH'. */
  addReturned(request: SequenceRequest): void {
    this.#check(request);
    this.waiting.addReturned(this.#admit(request));
  }

  /** Starts a waiting sequence with those of its first `cachedTokens` tokens that it finds. */
  start(id: SequenceId, cachedTokens: number): RunningSequence {
    const sequence = this.waiting.get(id);
    if (sequence === undefined) throw new TypeError(`Sequence ${id} does not wait.`);
    this.waiting.remove(sequence);
    const running = startSequence(sequence, this.#table);
    this.pages.start(running, cachedTokens);
    const { history } = running;
    if (history.preemptions === 0) {
      history.cachedPromptTokens = Math.min(running.computedTokens, history.promptTokenCount);
    }
    this.running.add(running);
    return running;
  }

  preempt(id: SequenceId): void {
    const sequence = this.running.get(id);
    if (sequence === undefined) throw new TypeError(`Sequence ${id} is not running.`);
    this.pages.free(pagesOf(sequence));
    this.running.remove(sequence);
    this.waiting.addReturned(preemptSequence(sequence));
  }

  /** Holds the pages of a running sequence until `freeHeldPages` where a step may write to them. */
  finish(
    sequence: LiveSequence,
    reason: FinishReason,
    { holdPages }: { readonly holdPages: boolean },
  ): FinishedSequence {
    if (sequence.state === 'waiting') {
      this.waiting.remove(sequence);
    } else {
      this.running.remove(sequence);
      if (holdPages) this.#heldPages.push(...pagesOf(sequence));
      else this.pages.free(pagesOf(sequence));
    }
    this.#tokensWanted -= sequence.history.tokensWanted;
    return finishSequence(sequence, reason);
  }

  freeHeldPages(): void {
    if (this.#heldPages.length === 0) return;
    this.pages.free(this.#heldPages);
    this.#heldPages.length = 0;
  }

  #check(request: SequenceRequest): void {
    checkRequest(request, this.#sequenceTokensMax, (id) => this.find(id) !== undefined);
  }

  #admit(request: SequenceRequest): WaitingSequence {
    const sequence = admitSequence(request, this.#admissions);
    this.#admissions += 1;
    this.#tokensWanted += sequence.history.tokensWanted;
    return sequence;
  }
}

function pagesOf({ table, slot }: RunningSequence): KvPageId[] {
  return table.kvPages.ids(slot);
}
