import type { KvPageId, SequenceId } from '@megascale/core';
import {
  resolveBatcherOptions,
  type BatcherLimits,
  type BatcherOptions,
} from './batcher-options.js';
import type { BatcherCounts } from './batcher-counts.js';
import { checkRequest } from './check-request.js';
import { goingOn, worthStartingEarly } from './early-step.js';
import { KvCache } from './kv/kv-cache.js';
import { buildMicroBatches, type SequenceTokens } from './micro-batches.js';
import { PlanMaker, type CheckedPlan } from './plan-maker.js';
import * as sequences from './sequence.js';
import { expectSampled, type EmittedToken, type Step, type StepOutcome } from './step.js';
import type { StepPace } from './step-pace.js';
import { StepInFlight } from './step-in-flight.js';
import { WaitingLine } from './waiting-line.js';

/**
 * The scheduler of one attention worker: keeps its sequences and KV pages, asks the policy for a plan, checks it, and
 * turns it into micro-batches. It decides when and touches no backend: `planStep`, execute, `completeStep`, again.
 *
 * Whatever the policy does, a sequence's tokens are the same, each is emitted once, and every page comes back.
 */
export class Batcher {
  readonly #limits: BatcherLimits;
  readonly #pages: KvCache;
  readonly #waiting: WaitingLine;
  readonly #plans: PlanMaker;
  /** In the order of starting. */
  readonly #running = new Map<SequenceId, sequences.RunningSequence>();
  /** The same as a list; undefined until somebody asks after a change. */
  #runningListed: readonly sequences.RunningSequence[] | undefined;
  /** Waiting and running. */
  readonly #live = new Map<SequenceId, sequences.LiveSequence>();
  #inFlight: StepInFlight | undefined;
  /** Planned when `#inFlight` had been attended to; starts while that one still samples. */
  #following: StepInFlight | undefined;
  /** Steps that started early, since one was split with nothing in flight. */
  #earlySteps = 0;
  /** m has changed since the step in flight was planned. */
  #splitAnew = false;
  /** Pages of sequences that ended while the newest step may still write to them. */
  readonly #pagesHeld: KvPageId[] = [];
  readonly #totals = {
    ...{ admissions: 0, preemptions: 0, steps: 0 },
    ...{ promptTokens: 0, cachedPromptTokens: 0, computedTokens: 0, outputTokens: 0 },
  };
  /** Of the newest plan. */
  #nowMs = 0;

  /** Throws ConfigError 'ERR_CONFIG_FIELD'. */
  constructor(options: BatcherOptions) {
    this.#limits = resolveBatcherOptions(options);
    this.#pages = new KvCache(this.#limits);
    this.#waiting = new WaitingLine(options.waitingMax);
    const [limits, waiting, pages, live] = [this.#limits, this.#waiting, this.#pages, this.#live];
    this.#plans = new PlanMaker({ limits, waiting, pages, live });
  }

  /** Tokens one sequence may reach here, prompt and output together. */
  get sequenceTokensMax(): number {
    return this.#limits.sequenceTokensMax;
  }

  get pace(): StepPace {
    return this.#limits.pace;
  }

  /**
   * From the next plan on. After a change of m a step waits for all tokens of the one before, so that all sequences are dealt out anew.
   *
   * @throws RangeError when there are no slots for so many micro-batches, or a step would not fit in so few.
   */
  setPace(pace: StepPace): void {
    const { microBatchCount, tokensPerMicroBatchMax, tokensPerStepMax } = this.#limits;
    const { microBatchCount: count } = pace;
    if (count > microBatchCount || count * tokensPerMicroBatchMax < tokensPerStepMax) {
      throw new RangeError(
        `Steps of ${tokensPerStepMax} tokens cannot have ${count} micro-batches: there are ${microBatchCount} slots for ${tokensPerMicroBatchMax} tokens each.`,
      );
    }
    this.#splitAnew ||= count !== this.pace.microBatchCount;
    this.#limits.pace = pace;
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
   * It may be asked once the step in flight has the tokens of its first micro-batch: the next step then starts while the
   * others still sample (cross-step overlap). Undefined there means: ask again when they have their tokens.
   *
   * @throws PolicyError 'ERR_PLAN_INVALID' when the policy breaks a rule; nothing changes then.
   */
  planStep(nowMs: number): Step | undefined {
    this.#nowMs = nowMs;
    if (this.#following !== undefined) throw new TypeError(stepInFlight);
    if (this.#inFlight !== undefined) return this.#planFollowing(nowMs, this.#inFlight);
    if (!this.hasWork) return undefined;
    let checked = this.#plan(nowMs);
    while (checked.run.length === 0) checked = this.#plan(nowMs);
    this.#inFlight = this.#stepOf(checked, false);
    this.#earlySteps = 0;
    this.#splitAnew = false;
    return this.#inFlight.step;
  }

  /** Before `embed` of a micro-batch of the newest step: every token id in it is then known. */
  startMicroBatch(index: number): void {
    (this.#following ?? this.#expectStep()).writeAwaited(index);
  }

  /**
   * The next micro-batch of the oldest step in flight was executed. sampled[r] is the token chosen from row r of its logits; entries of
   * 'prompt' rows are not read. Throws RangeError when a token is missing; nothing changes then.
   */
  completeMicroBatch(sampled: ArrayLike<number>): StepOutcome {
    const inFlight = this.#expectStep();
    const { step, due: microBatch } = inFlight;
    expectSampled(step, microBatch, sampled);
    const { attended, dueRows: rows } = inFlight;
    inFlight.complete();
    if (!attended) this.#afterAttending(inFlight);
    if (this.#following === undefined) this.#giveBackHeldPages();

    const emitted: EmittedToken[] = [];
    const finished: sequences.FinishedSequence[] = [];
    for (let row = 0; row < rows.length; row += 1) {
      const logits = rows[row];
      const tokenId = sampled[row];
      if (logits === undefined || tokenId === undefined || logits.history.ended) continue;
      const { history } = logits;
      const delivered = logits.position + 1;
      if (delivered > history.promptLogitsDelivered) history.promptLogitsDelivered = delivered;
      if (logits.type !== 'sample') continue;
      const finishReason = this.#append(history, tokenId);
      const { id } = history.request;
      const cachedPromptTokens = isFirstEmitted(history) ? history.cachedPromptTokens : 0;
      const token = { id, tokenId, microBatch, row };
      const cached = cachedPromptTokens > 0 ? { ...token, cachedPromptTokens } : token;
      emitted.push(finishReason === undefined ? cached : { ...cached, finishReason });
      if (finishReason === undefined) continue;
      const sequence = this.#live.get(id);
      if (sequence !== undefined) finished.push(this.#finish(sequence, finishReason));
    }
    if (inFlight.ended) {
      this.#totals.steps += 1;
      this.#inFlight = this.#following;
      this.#following = undefined;
    }
    return { emitted, finished };
  }

  /** `completeMicroBatch` for all that are left of the oldest step; sampled[i] belongs to micro-batch i. */
  completeStep(sampled: readonly ArrayLike<number>[]): StepOutcome {
    const { step, due } = this.#expectStep();
    const left = step.microBatchIndices.slice(due);
    for (const index of left) expectSampled(step, index, sampled[index] ?? []);
    const outcomes = left.map((index) => this.completeMicroBatch(sampled[index] ?? []));
    return {
      emitted: outcomes.flatMap(({ emitted }) => emitted),
      finished: outcomes.flatMap(({ finished }) => finished),
    };
  }

  /**
   * What is in flight did not happen, for example because a worker was lost. Tokens that were not sampled are planned
   * again, into the same pages.
   */
  abandonStep(): void {
    this.#expectStep().abandon();
    this.#inFlight = undefined;
    this.#following = undefined;
    this.#giveBackHeldPages();
  }

  /** What the step took, from the end of the one before: policies are told what to expect of the next (`SchedulerView.stepCost`). */
  noteStepTime(step: Step, us: number): void {
    let tokens = 0;
    let keysSeen = 0;
    for (const { positions } of step.microBatches) {
      tokens += positions.length;
      for (let row = 0; row < positions.length; row += 1) keysSeen += (positions[row] ?? 0) + 1;
    }
    this.#plans.stepCosts.add({ tokens, keysSeen, us });
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
      kvPagesCached: this.#pages.cachedCount,
      preemptionsTotal: this.#totals.preemptions,
      stepsTotal: this.#totals.steps,
      promptTokensTotal: this.#totals.promptTokens,
      cachedPromptTokensTotal: this.#totals.cachedPromptTokens,
      computedTokensTotal: this.#totals.computedTokens,
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
    this.#pages.giveBack(running.kvPages.ids());
    this.#running.delete(id);
    this.#runningListed = undefined;
    const waiting = sequences.preemptSequence(running);
    this.#waiting.addReturned(waiting);
    this.#live.set(id, waiting);
    this.#totals.preemptions += 1;
  }

  /** Only a plan that leaves everybody their pages may start early: what is being sampled may yet end, and free some. */
  #planFollowing(nowMs: number, inFlight: StepInFlight): Step | undefined {
    if (!inFlight.attended) throw new TypeError(stepInFlight);
    if (this.#splitAnew) return undefined;
    const running = goingOn(this.#runningInOrder());
    const checked = this.#plans.planEarly(nowMs, running, this.#running.size - running.length);
    if (checked === undefined) return undefined;
    const following = this.#stepOf(checked, true);
    if (!worthStartingEarly(following.step, this.#earlySteps)) return undefined;
    this.#earlySteps += 1;
    this.#following = following;
    return following.step;
  }

  /** Whoever is to be preempted is. */
  #plan(nowMs: number): CheckedPlan {
    const checked = this.#plans.plan(nowMs, this.#runningInOrder());
    for (const id of checked.plan.preempt) this.#preempt(id);
    return checked;
  }

  #runningInOrder(): readonly sequences.RunningSequence[] {
    this.#runningListed ??= [...this.#running.values()];
    return this.#runningListed;
  }

  #stepOf({ plan, run }: CheckedPlan, overlapsPrevious: boolean): StepInFlight {
    // Whoever starts holds its prefix before anybody takes a page that keeps one.
    const running = run.map((sequence) =>
      sequence.state === 'running' ? sequence : this.#start(sequence),
    );
    const work = running.map((sequence, index) =>
      this.#prepare(sequence, plan.run[index]?.tokens ?? 0),
    );
    const planned = buildMicroBatches(work, this.#limits);
    const microBatches = planned.map(({ batch }) => batch);
    const step: Step = {
      plan,
      overlapsPrevious,
      microBatches,
      microBatchIndices: microBatches.map(({ index }) => index),
      logits: planned.map(({ logits }) => logits),
      sequences: planned.map(({ ids }) => ids),
    };
    return new StepInFlight(step, planned, work);
  }

  /** Takes the pages its next tokens need. */
  #prepare(sequence: sequences.RunningSequence, tokens: number): SequenceTokens {
    const firstPosition = sequence.computedTokens;
    this.#pages.grow(sequence, firstPosition + tokens);
    const lowestMicroBatch = sequence.awaitsMicroBatch ?? 0;
    return { sequence, firstPosition, tokens, lowestMicroBatch };
  }

  #start(waiting: sequences.WaitingSequence): sequences.RunningSequence {
    this.#waiting.remove(waiting);
    const running = sequences.startSequence(waiting);
    this.#pages.start(running, waiting.history.view.contextTokens);
    const { history } = running;
    if (history.preemptions === 0) {
      history.cachedPromptTokens = Math.min(running.computedTokens, history.promptTokenCount);
    }
    const { id } = history.request;
    this.#running.set(id, running);
    this.#runningListed = undefined;
    this.#live.set(id, running);
    return running;
  }

  #append(history: sequences.GrowingHistory, tokenId: number): 'stop' | 'length' | undefined {
    if (sequences.outputTokenCount(history) === (history.request.outputTokens?.length ?? 0)) {
      this.#totals.promptTokens += history.promptTokenCount;
      this.#totals.cachedPromptTokens += history.cachedPromptTokens;
      history.firstTokenAtMs = this.#nowMs;
    }
    history.lastTokenAtMs = this.#nowMs;
    this.#totals.outputTokens += 1;
    history.tokens.push(tokenId);
    return sequences.finishReasonOf(history);
  }

  #finish(
    sequence: sequences.LiveSequence,
    reason: sequences.FinishReason,
  ): sequences.FinishedSequence {
    const { id } = sequence.history.request;
    sequence.history.ended = true;
    this.#live.delete(id);
    if (sequence.state === 'waiting') {
      this.#waiting.remove(sequence);
    } else {
      this.#running.delete(id);
      this.#runningListed = undefined;
      const newest = this.#following ?? this.#inFlight;
      const pages = sequence.kvPages.ids();
      if (newest?.attended ?? true) this.#pages.giveBack(pages);
      else this.#pagesHeld.push(...pages);
    }
    return sequences.finishSequence(sequence, reason);
  }

  #expectStep(): StepInFlight {
    if (this.#inFlight === undefined) {
      throw new TypeError('No step is in flight; call planStep first.');
    }
    return this.#inFlight;
  }

  /** What was computed may be shared from now on. */
  #afterAttending(inFlight: StepInFlight): void {
    for (const { sequence, tokens } of inFlight.work) {
      this.#totals.computedTokens += tokens;
      if (!sequence.history.ended) this.#pages.share(sequence);
    }
  }

  #giveBackHeldPages(): void {
    this.#pages.giveBack(this.#pagesHeld);
    this.#pagesHeld.length = 0;
  }
}

const stepInFlight = 'A step is in flight; call completeStep or abandonStep first.';

function isFirstEmitted(history: sequences.TokenHistory): boolean {
  const known = history.request.outputTokens?.length ?? 0;
  return sequences.outputTokenCount(history) === known + 1;
}

function outstanding(sequence: sequences.LiveSequence): number {
  const { history } = sequence;
  const unsampled = history.request.maxTokens - sequences.outputTokenCount(history);
  // The last token is sampled but never computed.
  return sequences.tokensLeft(sequence) + unsampled - 1;
}
