import type { KvPageId, SequenceId } from '@megascale/core';
import {
  resolveBatcherOptions,
  type BatcherLimits,
  type BatcherOptions,
} from './batcher-options.js';
import type { BatcherCounts } from './batcher-counts.js';
import { checkRequest } from './check-request.js';
import { worthStartingEarly } from './early-step.js';
import { IntArrays } from '../sequence/int-arrays.js';
import { KvCache } from '../kv/kv-cache.js';
import {
  buildMicroBatches,
  positionOfLogits,
  type PlannedMicroBatch,
  type SequenceTokens,
  type StepMaterial,
} from '../micro-batches/micro-batches.js';
import { PlanMaker, type CheckedPlan } from './plan-maker.js';
import { RunningList } from '../sequence/running-list.js';
import type { RunningSequence } from '../sequence/running-sequence.js';
import { nobodysSeat, Seats } from '../sequence/seats.js';
import * as sequences from '../sequence/sequence.js';
import { expectSampled, type EmittedToken, type Step, type StepOutcome } from './step.js';
import type { StepPace } from './step-pace.js';
import { StepInFlight } from './step-in-flight.js';
import { WaitingLine } from '../sequence/waiting-line.js';

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
  readonly #seats = new Seats();
  readonly #running: RunningList;
  readonly #material: StepMaterial & { previous: readonly PlannedMicroBatch[] };
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
  /** Tokens to compute if every sequence here runs from its start to its maxTokens. */
  #tokensWanted = 0;
  /** Of the newest plan. */
  #nowMs = 0;

  /** Throws ConfigError 'ERR_CONFIG_FIELD'. */
  constructor(options: BatcherOptions) {
    this.#limits = resolveBatcherOptions(options);
    this.#pages = new KvCache(this.#limits);
    this.#waiting = new WaitingLine(options.maxQueuedRequests);
    this.#running = new RunningList(this.#seats, this.#pages);
    this.#material = { seats: this.#seats, arrays: new IntArrays(), previous: [] };
    const [limits, waiting, pages] = [this.#limits, this.#waiting, this.#pages];
    this.#plans = new PlanMaker({ limits, waiting, pages, running: this.#running });
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
    const { microBatchCount, tokensPerMicroBatchMax, maxNumBatchedTokens } = this.#limits;
    const { microBatchCount: count } = pace;
    if (count > microBatchCount || count * tokensPerMicroBatchMax < maxNumBatchedTokens) {
      throw new RangeError(
        `Steps of ${maxNumBatchedTokens} tokens cannot have ${count} micro-batches: there are ${microBatchCount} slots for ${tokensPerMicroBatchMax} tokens each.`,
      );
    }
    this.#splitAnew ||= count !== this.pace.microBatchCount;
    this.#limits.pace = pace;
  }

  get hasWork(): boolean {
    return this.#running.size + this.#waiting.size > 0;
  }

  /** Throws RequestError 'ERR_REQUEST_INVALID', 'ERR_CONTEXT_LENGTH' or 'ERR_QUEUE_FULL'; nothing changes then. */
  add(request: sequences.SequenceRequest): void {
    checkRequest(request, this.sequenceTokensMax, (id) => this.#find(id) !== undefined);
    this.#waiting.expectRoom();
    this.#waiting.addNewcomer(this.#admit(request));
  }

  /**
   * Like `add`, for a sequence that another worker had admitted and lost: it waits before all newcomers and is never
   * refused for the length of the queue.
   */
  resume(request: sequences.SequenceRequest): void {
    checkRequest(request, this.sequenceTokensMax, (id) => this.#find(id) !== undefined);
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
    const sequence = this.#find(id);
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
    const { attended, duePlanned: planned } = inFlight;
    if (planned === undefined) throw new TypeError('The step has all its tokens.');
    const { logits, batch } = planned;
    if (!attended) this.#afterAttending(inFlight);
    inFlight.complete();
    if (this.#following === undefined) this.#giveBackHeldPages();

    const emitted: EmittedToken[] = [];
    const finished: sequences.FinishedSequence[] = [];
    for (let row = 0; row < logits.length; row += 1) {
      const of = logits[row];
      const tokenId = sampled[row];
      if (of === undefined || tokenId === undefined) continue;
      const { sequence, type } = of;
      if (sequence.seat === nobodysSeat) continue;
      if (sequence.wantsPromptLogits) sequence.notePromptLogits(positionOfLogits(batch, row));
      if (type !== 'sample') continue;
      const finishReason = sequence.append(tokenId, this.#nowMs);
      const token = { id: sequence.id, tokenId, microBatch, row };
      const cachedPromptTokens = sequence.hasFirstToken ? this.#countPrompt(sequence) : 0;
      const cached = cachedPromptTokens > 0 ? { ...token, cachedPromptTokens } : token;
      emitted.push(finishReason === undefined ? cached : { ...cached, finishReason });
      if (finishReason !== undefined) finished.push(this.#finish(sequence, finishReason));
    }
    this.#totals.outputTokens += emitted.length;
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
    this.#material.previous = [];
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
    return [...this.#running.all().sequences, ...this.#waiting].sort(
      (a, b) => a.history.admissionNumber - b.history.admissionNumber,
    );
  }

  get counts(): BatcherCounts {
    let outstandingTokens = this.#tokensWanted;
    for (const { computedTokens, awaitedIn } of this.#running.all().sequences) {
      outstandingTokens += (awaitedIn === undefined ? 0 : 1) - computedTokens;
    }
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
    this.#tokensWanted += tokensToCompute(sequence.history);
    return sequence;
  }

  #preempt(id: SequenceId): void {
    const running = this.#running.get(id);
    if (running === undefined) throw new TypeError(`Sequence ${id} is not running.`);
    this.#pages.giveBack(this.#seats.pages.ids(running.seat));
    this.#running.remove(running);
    this.#waiting.addReturned(sequences.preemptSequence(running));
    this.#totals.preemptions += 1;
  }

  /** Only a plan that leaves everybody their pages may start early: what is being sampled may yet end, and free some. */
  #planFollowing(nowMs: number, inFlight: StepInFlight): Step | undefined {
    if (!inFlight.attended) throw new TypeError(stepInFlight);
    if (this.#splitAnew) return undefined;
    const checked = this.#plans.planEarly(nowMs);
    if (checked === undefined) return undefined;
    const following = this.#stepOf(checked, true);
    if (!worthStartingEarly(following.step, this.#earlySteps)) return undefined;
    this.#earlySteps += 1;
    this.#following = following;
    return following.step;
  }

  /** Whoever is to be preempted is. */
  #plan(nowMs: number): CheckedPlan {
    const checked = this.#plans.plan(nowMs);
    for (const id of checked.plan.preempt) this.#preempt(id);
    return checked;
  }

  /** Waiting or running. */
  #find(id: SequenceId): sequences.LiveSequence | undefined {
    return this.#running.get(id) ?? this.#waiting.get(id);
  }

  #stepOf({ plan, run }: CheckedPlan, overlapsPrevious: boolean): StepInFlight {
    // Whoever starts holds its prefix before anybody takes a page that keeps one.
    const running = run.map((sequence) =>
      sequence.state === 'running' ? sequence : this.#start(sequence),
    );
    const work = running.map((sequence, index) =>
      this.#prepare(sequence, plan.run[index]?.tokens ?? 0),
    );
    const planned = buildMicroBatches(work, this.#material, this.#limits);
    this.#material.previous = planned;
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
  #prepare(sequence: RunningSequence, tokens: number): SequenceTokens {
    const next = sequence.next(tokens);
    this.#pages.grow(sequence, next.firstPosition + tokens);
    return next;
  }

  #start(waiting: sequences.WaitingSequence): RunningSequence {
    this.#waiting.remove(waiting);
    const running = sequences.startSequence(waiting, this.#seats);
    this.#pages.start(running, waiting.history.view.contextTokens);
    const { history } = running;
    if (history.preemptions === 0) {
      history.cachedPromptTokens = Math.min(running.computedTokens, history.promptTokenCount);
    }
    this.#running.add(running);
    return running;
  }

  /** Each prompt is counted once, with its first token. How much of it was found computed. */
  #countPrompt({ history }: RunningSequence): number {
    this.#totals.promptTokens += history.promptTokenCount;
    this.#totals.cachedPromptTokens += history.cachedPromptTokens;
    return history.cachedPromptTokens;
  }

  #finish(
    sequence: sequences.LiveSequence,
    reason: sequences.FinishReason,
  ): sequences.FinishedSequence {
    if (sequence.state === 'waiting') {
      this.#waiting.remove(sequence);
    } else {
      this.#running.remove(sequence);
      const newest = this.#following ?? this.#inFlight;
      const pages = this.#seats.pages.ids(sequence.seat);
      if (newest?.attended ?? true) this.#pages.giveBack(pages);
      else this.#pagesHeld.push(...pages);
    }
    this.#tokensWanted -= tokensToCompute(sequence.history);
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
    for (const sequence of inFlight.advance()) {
      if (this.#pages.share(sequence)) this.#material.previous = [];
    }
    for (const { positions } of inFlight.step.microBatches) {
      this.#totals.computedTokens += positions.length;
    }
  }

  #giveBackHeldPages(): void {
    if (this.#pagesHeld.length === 0) return;
    this.#pages.giveBack(this.#pagesHeld);
    this.#pagesHeld.length = 0;
  }
}

const stepInFlight = 'A step is in flight; call completeStep or abandonStep first.';

/** The last token is sampled but never computed. */
function tokensToCompute({ promptTokenCount, request }: sequences.TokenHistory): number {
  return promptTokenCount + request.maxTokens - 1;
}
