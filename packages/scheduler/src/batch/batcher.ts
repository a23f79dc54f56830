import type { SequenceId } from '@megascale/core';
import { IntArrays } from '../micro-batches/build-micro-batches.js';
import { positionOfLogits } from '../micro-batches/planned-micro-batch.js';
import type { StepPace } from '../micro-batches/split-micro-batches.js';
import type { FinishReason, SequenceRequest } from '../sequence/sequence-request.js';
import type { FinishedSequence, LiveSequence } from '../sequence/sequence.js';
import type { TokenHistory } from '../sequence/token-history.js';
import {
  checkPace,
  resolveBatcherOptions,
  type BatcherCounts,
  type BatcherLimits,
  type BatcherOptions,
} from './batcher-options.js';
import { buildStep } from './build-step.js';
import { LiveSequences } from './live-sequences.js';
import { PlanMaker, type CheckedPlan } from './plan-maker.js';
import { worthStartingEarly, type StepInFlight } from './step-in-flight.js';
import {
  expectSampled,
  joinOutcomes,
  workOf,
  type EmittedToken,
  type Step,
  type StepOutcome,
} from './step.js';

/**
 * The scheduler of one attention worker: keeps its sequences and KV pages, asks the policy for a
 * plan, checks it, and turns it into micro-batches. It decides when and touches no backend:
 * `planStep`, execute, `completeStep`, again.
 *
 * Whatever the policy does, a sequence's tokens are the same, each is emitted once, and every page
 * is freed.
 */
export class Batcher {
  readonly #limits: BatcherLimits;
  readonly #live: LiveSequences;
  readonly #plans: PlanMaker;
  readonly #arrays = new IntArrays();
  #inFlight: StepInFlight | undefined;
  /** Planned when `#inFlight` had been attended to; starts while that one still samples. */
  #following: StepInFlight | undefined;
  /** Steps that started early, since one was split with nothing in flight. */
  #earlySteps = 0;
  /** m has changed since the step in flight was planned. */
  #splitsAnew = false;
  readonly #totals = {
    preemptionsTotal: 0,
    stepsTotal: 0,
    promptTokensTotal: 0,
    cachedPromptTokensTotal: 0,
    computedTokensTotal: 0,
    outputTokensTotal: 0,
  };
  /** Of the newest plan. */
  #nowMs = 0;

  /** Throws ConfigError 'ERR_CONFIG_FIELD'. */
  constructor(options: BatcherOptions) {
    this.#limits = resolveBatcherOptions(options);
    this.#live = new LiveSequences(this.#limits);
    this.#plans = new PlanMaker(this.#limits, this.#live);
  }

  /** Tokens one sequence may reach here, prompt and output together. */
  get sequenceTokensMax(): number {
    return this.#limits.sequenceTokensMax;
  }

  get pace(): StepPace {
    return this.#limits.pace;
  }

  /**
   * Divides steps into micro-batches so, from the next plan on. After a change of m a step waits
   * for all tokens of the one before, so that all sequences are dealt out anew.
   *
   * @throws RangeError when there are no slots for so many micro-batches, or a step would not fit
   *   in so few.
   */
  setPace(pace: StepPace): void {
    checkPace(pace, this.#limits);
    this.#splitsAnew ||= pace.microBatchCount !== this.pace.microBatchCount;
    this.#limits.pace = pace;
  }

  get hasWork(): boolean {
    return this.#live.size > 0;
  }

  /**
   * Lets a new sequence wait.
   *
   * @throws RequestError 'ERR_REQUEST_INVALID', 'ERR_CONTEXT_LENGTH' or 'ERR_QUEUE_FULL'; nothing
   *   changes then.
   */
  add(request: SequenceRequest): void {
    this.#live.addNewcomer(request);
  }

  /**
   * Like `add`, for a sequence that another worker had admitted and lost: it waits before all
   * newcomers and is never refused for the length of the queue.
   */
  resume(request: SequenceRequest): void {
    this.#live.addReturned(request);
  }

  /**
   * Ends a sequence now. Undefined when it is not here (any more). During a step none of its tokens
   * is emitted any more, and its pages are freed when the step ends.
   */
  cancel(id: SequenceId, reason: FinishReason = 'abort'): FinishedSequence | undefined {
    const sequence = this.#live.find(id);
    return sequence && this.#finish(sequence, reason);
  }

  /**
   * Decides the next step; undefined when there is nothing to do. `completeStep` or `abandonStep`
   * must follow.
   *
   * The caller may ask once the step in flight has the tokens of its first micro-batch: the next
   * step then starts while the others still sample (cross-step overlap). Undefined then means that
   * the caller asks again when they have their tokens.
   *
   * @throws PolicyError 'ERR_PLAN_INVALID' when the policy breaks a rule; nothing changes then.
   */
  planStep(nowMs: number): Step | undefined {
    this.#nowMs = nowMs;
    const early = this.#inFlight !== undefined;
    if (this.#following !== undefined || this.#inFlight?.attended === false) {
      throw new TypeError('A step is in flight; call completeStep or abandonStep first.');
    }
    if (early) return this.#planFollowing(nowMs);
    if (!this.hasWork) return undefined;
    let checked = this.#planAndPreempt(nowMs);
    while (checked.plan.run.length === 0) checked = this.#planAndPreempt(nowMs);
    this.#inFlight = this.#build(checked, false);
    this.#earlySteps = 0;
    this.#splitsAnew = false;
    return this.#inFlight.step;
  }

  /** Before `embed` of a micro-batch of the newest step: every token id in it is then known. */
  startMicroBatch(index: number): void {
    (this.#following ?? this.#expectStep()).writePendingTokens(index);
  }

  /**
   * The next micro-batch of the oldest step in flight was executed. sampled[r] is the token chosen
   * from row r of its logits; entries of 'prompt' rows are not read.
   *
   * @throws RangeError when a token is missing; nothing changes then.
   */
  completeMicroBatch(sampled: ArrayLike<number>): StepOutcome {
    const inFlight = this.#expectStep();
    const microBatch = inFlight.due;
    expectSampled(inFlight.step, microBatch, sampled);
    if (!inFlight.attended) this.#afterAttending(inFlight);
    const { logits, batch } = inFlight.complete();
    if (this.#following === undefined) this.#live.freeHeldPages();

    const emitted: EmittedToken[] = [];
    const finished: FinishedSequence[] = [];
    for (let row = 0; row < logits.length; row += 1) {
      const of = logits[row];
      const tokenId = sampled[row];
      if (of === undefined || tokenId === undefined || of.sequence.hasLeft) continue;
      const { sequence, type } = of;
      if (sequence.wantsPromptLogits) sequence.notePromptLogits(positionOfLogits(batch, row));
      if (type !== 'sample') continue;
      const finishReason = sequence.append(tokenId, this.#nowMs);
      const cachedPromptTokens = sequence.hasFirstToken ? this.#countPrompt(sequence.history) : 0;
      const token = { id: sequence.id, tokenId, microBatch, row };
      const cached = cachedPromptTokens > 0 ? { ...token, cachedPromptTokens } : token;
      emitted.push(finishReason === undefined ? cached : { ...cached, finishReason });
      if (finishReason !== undefined) finished.push(this.#finish(sequence, finishReason));
    }
    this.#totals.outputTokensTotal += emitted.length;
    if (inFlight.ended) {
      this.#totals.stepsTotal += 1;
      this.#inFlight = this.#following;
      this.#following = undefined;
    }
    return { emitted, finished };
  }

  /**
   * `completeMicroBatch` for all that are left of the oldest step; sampled[i]: of micro-batch i.
   */
  completeStep(sampled: readonly ArrayLike<number>[]): StepOutcome {
    const { step, due } = this.#expectStep();
    const left = step.microBatchIndices.slice(due);
    for (const index of left) expectSampled(step, index, sampled[index] ?? []);
    const outcomes = left.map((index) => this.completeMicroBatch(sampled[index] ?? []));
    return joinOutcomes(outcomes);
  }

  /**
   * What is in flight did not happen, for example because a worker was lost. Tokens that were not
   * sampled are planned again, into the same pages.
   */
  abandonStep(): void {
    this.#expectStep().abandon();
    this.#inFlight = undefined;
    this.#following = undefined;
    this.#live.freeHeldPages();
  }

  /**
   * What the step took, in microseconds from the end of the one before. The batcher learns from it
   * what to tell policies of the next step (`SchedulerView.stepCost`).
   */
  noteStepTime(step: Step, us: number): void {
    this.#plans.stepCosts.add({ ...workOf(step), us });
  }

  /** Waiting and running sequences, in the order of admission; for moving or failing them. */
  sequences(): LiveSequence[] {
    return this.#live.all();
  }

  get counts(): BatcherCounts {
    const { waiting, running, pages, outstandingTokens } = this.#live;
    return {
      waiting: waiting.size,
      running: running.size,
      kvPagesTotal: pages.totalCount,
      kvPagesFree: pages.freeCount,
      kvPagesCached: pages.cachedCount,
      ...this.#totals,
      outstandingTokens,
    };
  }

  /**
   * Only a plan that preempts no sequence may start early: a sequence that is being sampled may yet
   * end, and free some pages.
   */
  #planFollowing(nowMs: number): Step | undefined {
    const checked = this.#splitsAnew ? undefined : this.#plans.planEarly(nowMs);
    if (checked === undefined) return undefined;
    const following = this.#build(checked, true);
    if (!worthStartingEarly(following.step, this.#earlySteps)) return undefined;
    this.#earlySteps += 1;
    this.#following = following;
    return following.step;
  }

  #planAndPreempt(nowMs: number): CheckedPlan {
    const checked = this.#plans.plan(nowMs);
    for (const id of checked.plan.preempt) this.#live.preempt(id);
    this.#totals.preemptionsTotal += checked.plan.preempt.length;
    return checked;
  }

  #build(checked: CheckedPlan, overlapsPrevious: boolean): StepInFlight {
    const material = { limits: this.#limits, live: this.#live, arrays: this.#arrays };
    return buildStep(checked, material, overlapsPrevious);
  }

  /** What the step computed may be shared from now on. */
  #afterAttending(inFlight: StepInFlight): void {
    inFlight.advance();
    for (const sequence of inFlight.sequences()) this.#live.pages.publish(sequence);
    this.#totals.computedTokensTotal += inFlight.tokenCount;
  }

  /** Counts each prompt once, with its first token. Returns how much of it was found computed. */
  #countPrompt({ promptTokenCount, cachedPromptTokens }: TokenHistory): number {
    this.#totals.promptTokensTotal += promptTokenCount;
    this.#totals.cachedPromptTokensTotal += cachedPromptTokens;
    return cachedPromptTokens;
  }

  #finish(sequence: LiveSequence, reason: FinishReason): FinishedSequence {
    const newest = this.#following ?? this.#inFlight;
    return this.#live.finish(sequence, reason, { holdPages: newest?.attended === false });
  }

  #expectStep(): StepInFlight {
    if (this.#inFlight !== undefined) return this.#inFlight;
    throw new TypeError('No step is in flight; call planStep first.');
  }
}
