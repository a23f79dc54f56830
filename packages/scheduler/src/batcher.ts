import type { KvPageId, SequenceId } from '@megascale/core';
import {
  resolveBatcherOptions,
  type BatcherLimits,
  type BatcherOptions,
} from './batcher-options.js';
import { checkRequest } from './check-request.js';
import { PagePool, pagesForTokens } from './kv/page-pool.js';
import { buildMicroBatches, type SequenceTokens } from './micro-batches.js';
import { schedulerView } from './scheduler-view.js';
import * as sequences from './sequence.js';
import { expectSampled, type EmittedToken, type Step, type StepOutcome } from './step.js';
import { validatePlan } from './validate-plan.js';
import { WaitingLine } from './waiting-line.js';

export interface BatcherCounts {
  readonly waiting: number;
  readonly running: number;
  readonly kvPagesTotal: number;
  readonly kvPagesFree: number;
  readonly preemptionsTotal: number;
  /** Completed steps. */
  readonly stepsTotal: number;
  /** Of sequences that emitted a token: each prompt once, however often it was computed. */
  readonly promptTokensTotal: number;
  readonly outputTokensTotal: number;
  /** Still to compute if every sequence runs to its maxTokens: the load that admission compares. */
  readonly outstandingTokens: number;
}

/**
 * The scheduler of one attention worker: keeps its sequences and KV pages, asks the policy for a plan, checks it, and
 * turns it into micro-batches. It decides when and touches no backend: `planStep`, execute, `completeStep`, again.
 *
 * Whatever the policy does, a sequence's tokens are the same, each is emitted once, and every page comes back.
 */
export class Batcher {
  readonly #limits: BatcherLimits;
  readonly #pages: PagePool;
  readonly #waiting: WaitingLine;
  /** In the order of starting. */
  readonly #running = new Map<SequenceId, sequences.RunningSequence>();
  /** Waiting and running. */
  readonly #live = new Map<SequenceId, sequences.LiveSequence>();
  #stepInFlight: { readonly step: Step; readonly work: readonly SequenceTokens[] } | undefined;
  /** Pages of sequences that were cancelled during the step in flight, which may still write to them. */
  readonly #pagesHeld: KvPageId[] = [];
  readonly #totals = { admissions: 0, preemptions: 0, steps: 0, promptTokens: 0, outputTokens: 0 };

  /** Throws ConfigError 'ERR_CONFIG_FIELD'. */
  constructor(options: BatcherOptions) {
    this.#limits = resolveBatcherOptions(options);
    this.#pages = new PagePool(options.kvPageCount);
    this.#waiting = new WaitingLine(options.waitingMax);
  }

  /** Tokens one sequence may reach here, prompt and output together. */
  get sequenceTokensMax(): number {
    return this.#limits.sequenceTokensMax;
  }

  get hasWork(): boolean {
    return this.#live.size > 0;
  }

  /** Throws RequestError 'ERR_REQUEST_INVALID', 'ERR_CONTEXT_LENGTH' or 'ERR_QUEUE_FULL'; nothing changes then. */
  add(request: sequences.SequenceRequest): void {
    checkRequest(request, this.sequenceTokensMax, (id) => this.#live.has(id));
    this.#waiting.expectRoom();
    this.#waiting.addNewcomer(this.#admit(request));
  }

  /**
   * Like `add`, for a sequence that another worker had admitted and lost: it waits before all newcomers and is never
   * refused for the length of the queue.
   */
  resume(request: sequences.SequenceRequest): void {
    checkRequest(request, this.sequenceTokensMax, (id) => this.#live.has(id));
    this.#waiting.addReturned(this.#admit(request));
  }

  /**
   * Ends a sequence now. Undefined when it is not here (any more). During a step none of its tokens is emitted any
   * more, and its pages come back when the step ends.
   */
  cancel(
    id: SequenceId,
    reason: sequences.FinishReason = 'abort',
  ): sequences.FinishedSequence | undefined {
    const sequence = this.#live.get(id);
    return sequence === undefined ? undefined : this.#finish(sequence, reason);
  }

  /**
   * Decides the next step; undefined when there is nothing to do. `completeStep` or `abandonStep` must follow.
   *
   * @throws PolicyError 'ERR_PLAN_INVALID' when the policy breaks a rule; nothing changes then.
   */
  planStep(nowMs: number): Step | undefined {
    if (this.#stepInFlight !== undefined) throw new TypeError(stepInFlight);
    if (!this.hasWork) return undefined;
    const { policy } = this.#limits;
    const free = this.#pages.freeCount;
    const view = schedulerView(nowMs, this.#waiting, this.#running.values(), free, this.#limits);
    const plan = policy.plan(view);
    validatePlan(view, plan, policy.name);

    for (const id of plan.preempt) this.#preempt(id);
    const work = plan.run.map(({ id, tokens }) => this.#prepare(id, tokens));
    const planned = buildMicroBatches(work, this.#limits);
    const microBatches = planned.map(({ batch }) => batch);
    const step: Step = {
      plan,
      microBatches,
      microBatchIndices: microBatches.map(({ index }) => index),
      logits: planned.map(({ logits }) => logits),
    };
    this.#stepInFlight = { step, work };
    return step;
  }

  /**
   * The step was executed. sampled[i][r] is the token chosen from row r of micro-batch i's logits; entries of 'prompt'
   * rows are not read.
   */
  completeStep(sampled: readonly ArrayLike<number>[]): StepOutcome {
    const { step, work } = this.#expectStep();
    expectSampled(step, sampled);
    this.#endStep();
    this.#totals.steps += 1;
    for (const { sequence, tokens } of work) advance(sequence, tokens);

    const emitted: EmittedToken[] = [];
    const finished: sequences.FinishedSequence[] = [];
    for (const [microBatch, rows] of step.logits.entries()) {
      for (const [row, { type, history }] of rows.entries()) {
        const sequence = this.#running.get(history.request.id);
        const tokenId = sampled[microBatch]?.[row];
        if (type !== 'sample' || sequence === undefined || tokenId === undefined) continue;
        const finishReason = this.#append(sequence, tokenId);
        const token = { id: history.request.id, tokenId, microBatch, row };
        emitted.push(finishReason === undefined ? token : { ...token, finishReason });
        if (finishReason !== undefined) finished.push(this.#finish(sequence, finishReason));
      }
    }
    return { emitted, finished };
  }

  /** The step did not happen, for example because a worker was lost. The same tokens are planned again, into the same pages. */
  abandonStep(): void {
    this.#expectStep();
    this.#endStep();
  }

  /** Waiting and running sequences, in the order of admission; for moving or failing them. */
  sequences(): sequences.LiveSequence[] {
    return [...this.#live.values()].sort(
      (a, b) => a.history.admissionNumber - b.history.admissionNumber,
    );
  }

  get counts(): BatcherCounts {
    let outstandingTokens = 0;
    for (const sequence of this.#live.values()) outstandingTokens += outstanding(sequence);
    return {
      waiting: this.#waiting.size,
      running: this.#running.size,
      kvPagesTotal: this.#pages.totalCount,
      kvPagesFree: this.#pages.freeCount,
      preemptionsTotal: this.#totals.preemptions,
      stepsTotal: this.#totals.steps,
      promptTokensTotal: this.#totals.promptTokens,
      outputTokensTotal: this.#totals.outputTokens,
      outstandingTokens,
    };
  }

  #admit(request: sequences.SequenceRequest): sequences.WaitingSequence {
    const sequence = sequences.admitSequence(request, this.#totals.admissions);
    this.#totals.admissions += 1;
    this.#live.set(request.id, sequence);
    return sequence;
  }

  #preempt(id: SequenceId): void {
    const running = this.#running.get(id);
    if (running === undefined) throw new TypeError(`Sequence ${id} is not running.`);
    this.#pages.giveBack(running.kvPages);
    this.#running.delete(id);
    const waiting = sequences.preemptSequence(running);
    this.#waiting.addReturned(waiting);
    this.#live.set(id, waiting);
    this.#totals.preemptions += 1;
  }

  /** Starts the sequence if it waits, and takes the pages its next tokens need. */
  #prepare(id: SequenceId, tokens: number): SequenceTokens {
    const sequence = this.#running.get(id) ?? this.#start(id);
    const firstPosition = sequence.computedTokens;
    const pageCount = pagesForTokens(firstPosition + tokens, this.#limits.kvPageSize);
    while (sequence.kvPages.length < pageCount) sequence.kvPages.push(this.#pages.take());
    return { sequence, firstPosition, tokens };
  }

  #start(id: SequenceId): sequences.RunningSequence {
    const waiting = this.#live.get(id);
    if (waiting?.state !== 'waiting') throw new TypeError(`Sequence ${id} is not waiting.`);
    this.#waiting.remove(waiting);
    const running = sequences.startSequence(waiting);
    this.#running.set(id, running);
    this.#live.set(id, running);
    return running;
  }

  #append(sequence: sequences.RunningSequence, tokenId: number): 'stop' | 'length' | undefined {
    const { history } = sequence;
    if (sequences.outputTokenCount(history) === (history.request.outputTokens?.length ?? 0)) {
      this.#totals.promptTokens += history.promptTokenCount;
    }
    this.#totals.outputTokens += 1;
    history.tokens.push(tokenId);
    return sequences.finishReasonOf(history);
  }

  #finish(
    sequence: sequences.LiveSequence,
    reason: sequences.FinishReason,
  ): sequences.FinishedSequence {
    const { id } = sequence.history.request;
    this.#live.delete(id);
    if (sequence.state === 'waiting') {
      this.#waiting.remove(sequence);
    } else {
      this.#running.delete(id);
      if (this.#stepInFlight === undefined) this.#pages.giveBack(sequence.kvPages);
      else this.#pagesHeld.push(...sequence.kvPages);
    }
    return sequences.finishSequence(sequence, reason);
  }

  #expectStep(): { readonly step: Step; readonly work: readonly SequenceTokens[] } {
    if (this.#stepInFlight === undefined) {
      throw new TypeError('No step is in flight; call planStep first.');
    }
    return this.#stepInFlight;
  }

  #endStep(): void {
    this.#stepInFlight = undefined;
    this.#pages.giveBack(this.#pagesHeld);
    this.#pagesHeld.length = 0;
  }
}

const stepInFlight = 'A step is in flight; call completeStep or abandonStep first.';

function advance(sequence: sequences.RunningSequence, tokens: number): void {
  const { history } = sequence;
  sequence.computedTokens += tokens;
  history.promptLogitsDelivered = Math.max(history.promptLogitsDelivered, sequence.computedTokens);
}

function outstanding(sequence: sequences.LiveSequence): number {
  const { history } = sequence;
  const unsampled = history.request.maxTokens - sequences.outputTokenCount(history);
  // The last token is sampled but never computed.
  return sequences.tokensLeft(sequence) + unsampled - 1;
}
