import {
  MegascaleError,
  PolicyError,
  type SchedulerPolicy,
  type SchedulerView,
  type SequenceId,
  type StepPlan,
} from '@megascale/core';
import type { BatcherLimits } from './batcher-options.js';
import { StepCostLearner } from '../cost/step-cost-learner.js';
import type { KvCache } from '../kv/kv-cache.js';
import { pagesMissing } from '../kv/page-pool.js';
import { schedulerView } from './scheduler-view.js';
import type { RunningList, RunningPart } from '../sequence/running-list.js';
import type { RunningSequenceView } from './running-view.js';
import type { LiveSequence, WaitingSequence } from '../sequence/sequence.js';
import { validatePlan } from './validate-plan.js';
import type { WaitingLine } from '../sequence/waiting-line.js';
import type { WaitingSequenceView } from './waiting-view.js';

/** A plan that breaks no rule, and the sequences of its `run`, in that order. */
export interface CheckedPlan {
  readonly plan: StepPlan;
  readonly run: readonly LiveSequence[];
}

/** Shows the policy what there is, and checks what it answers. */
export class PlanMaker {
  readonly stepCosts = new StepCostLearner();
  readonly #limits: BatcherLimits;
  readonly #waiting: WaitingLine;
  readonly #pages: KvCache;
  readonly #running: RunningList;
  readonly #lookedUp: WaitingSequence[] = [];
  #viewNumber = 0;

  constructor(parts: {
    readonly limits: BatcherLimits;
    readonly waiting: WaitingLine;
    readonly pages: KvCache;
    readonly running: RunningList;
  }) {
    this.#limits = parts.limits;
    this.#waiting = parts.waiting;
    this.#pages = parts.pages;
    this.#running = parts.running;
  }

  /**
   * The policy's plan or, if it breaks a rule or throws and there is a fallback, that one's.
   *
   * @throws PolicyError 'ERR_PLAN_INVALID' without a fallback.
   */
  plan(nowMs: number): CheckedPlan {
    const running = this.#running.all();
    const view = this.#view(nowMs, running, this.#limits.maxNumSeqs);
    const { policy, fallbackPolicy, onPolicyError } = this.#limits;
    try {
      return this.#ask(view, running, planOf(policy, view), policy.name);
    } catch (cause) {
      const error = policyError(policy.name, cause);
      if (fallbackPolicy === undefined) throw error;
      onPolicyError?.(error);
      const again = this.#view(nowMs, running, this.#limits.maxNumSeqs);
      return this.#ask(again, running, planOf(fallbackPolicy, again), fallbackPolicy.name);
    }
  }

  /** A plan for those that go on, while a step is in flight; undefined where its end had better be waited for. */
  planEarly(nowMs: number): CheckedPlan | undefined {
    const running = this.#running.goingOn();
    const goingOnCount = running.sequences.length;
    const endingCount = this.#running.size - goingOnCount;
    // A policy may count on a page for whoever runs alone; those that are about to end still hold theirs.
    const short = endingCount > 0 && this.#pages.freeCount < goingOnCount;
    if (goingOnCount === 0 || short) return undefined;
    const view = this.#view(nowMs, running, this.#limits.maxNumSeqs - endingCount);
    const { policy, fallbackPolicy } = this.#limits;
    try {
      const plan = planOf(policy, view);
      if (plan.run.length === 0 || plan.preempt.length > 0) return undefined;
      return this.#ask(view, running, plan, policy.name);
    } catch (error) {
      if (fallbackPolicy === undefined) throw policyError(policy.name, error);
      // It is asked again when all have their tokens, and what it does wrong is reported then.
      return undefined;
    }
  }

  #view(nowMs: number, running: RunningPart, maxNumSeqs: number): SchedulerView {
    this.#viewNumber += 1;
    return schedulerView(nowMs, {
      waiting: this.#waiting,
      running,
      pages: this.#pages,
      lookedUp: this.#lookedUp,
      limits: this.#limits,
      maxNumSeqs,
      stepCost: this.stepCosts.cost,
    });
  }

  /** `shown`: those of `view.running`. */
  #ask(view: SchedulerView, shown: RunningPart, plan: StepPlan, name: string): CheckedPlan {
    if (isOneTokenEach(view, shown, plan)) return { plan, run: shown.sequences };
    const viewNumber = this.#viewNumber;
    // Each id is looked up once, and those to be preempted come first.
    const named: LiveSequence[] = [];
    const find = (id: SequenceId): NamedView | undefined => {
      // Most plans name those that run in the order in which they are shown.
      const place = named.length - plan.preempt.length;
      const expected = shown.sequences[place];
      if (expected?.id === id) {
        named.push(expected);
        return shown.views[place];
      }
      const running = this.#running.get(id);
      if (running !== undefined) {
        if (running.endsWithAwaitedToken) return undefined;
        named.push(running);
        return this.#running.viewOf(running);
      }
      const waiting = this.#waiting.get(id);
      if (waiting === undefined || waiting.history.view.heldBack) return undefined;
      named.push(waiting);
      return waiting.history.view;
    };
    validatePlan(view, plan, name, {
      find,
      firstNaming: (candidate: NamedView) => candidate.firstNamedIn(viewNumber),
    });
    return { plan, run: plan.preempt.length === 0 ? named : named.slice(plan.preempt.length) };
  }
}

type NamedView = RunningSequenceView | WaitingSequenceView;

/**
 * What most plans come to: all that are shown, in that order, compute one token each, and there are pages for it. Such a plan breaks no rule, and that is found sooner than by
 * `validatePlan`.
 */
function isOneTokenEach(view: SchedulerView, { sequences }: RunningPart, plan: StepPlan): boolean {
  const { run, preempt } = plan;
  const { maxNumBatchedTokens, maxNumSeqs, kvPageSize } = view;
  const count = sequences.length;
  if (preempt.length > 0 || run.length !== count || count === 0) return false;
  if (count > maxNumBatchedTokens || count > maxNumSeqs) return false;
  let free = view.kvPagesFree;
  for (let place = 0; place < count; place += 1) {
    const [planned, sequence] = [run[place], sequences[place]];
    if (planned === undefined || sequence === undefined) return false;
    if (planned.id !== sequence.id || planned.tokens !== 1) return false;
    const { seat, seats } = sequence;
    const computed = seats.computedTokens[seat] ?? 0;
    if (computed >= seats.knownTokens(seat)) return false;
    free -= pagesMissing(computed + 1, seats.pages.length(seat), kvPageSize);
  }
  return free >= 0;
}

/** Throws TypeError for what is no plan at all; whether it breaks a rule is another question. */
function planOf(policy: SchedulerPolicy, view: SchedulerView): StepPlan {
  const plan = policy.plan(view) as Partial<StepPlan> | undefined | null;
  if (Array.isArray(plan?.run) && Array.isArray(plan.preempt)) return plan as StepPlan;
  throw new TypeError('it returned no plan, { run: [{ id, tokens }, …], preempt: [id, …] }');
}

function policyError(policy: string, cause: unknown): PolicyError {
  if (MegascaleError.isInstance(cause) && cause instanceof PolicyError) return cause;
  const what = cause instanceof Error ? cause.message : String(cause);
  return new PolicyError('ERR_PLAN_INVALID', {
    message: `Policy '${policy}' failed: ${what}. Mend the policy, or run with another one.`,
    details: { policy, rule: 'returns-a-plan' },
    cause,
  });
}
