import {
  MegascaleError,
  PolicyError,
  type SchedulerPolicy,
  type SequenceId,
  type StepPlan,
} from '@megascale/core';
import { StepCostLearner } from '../cost/step-cost-learner.js';
import type { RunningSequence } from '../sequence/running-sequence.js';
import type { BatcherLimits } from './batcher-options.js';
import type { LiveSequences } from './live-sequences.js';
import { schedulerView, type ShownView } from './scheduler-view.js';
import { validatePlan, type PlanCandidate } from './validate-plan.js';

/** A plan that breaks no rule. */
export interface CheckedPlan {
  readonly plan: StepPlan;
  /** The waiting sequences whose cached prefix the policy saw, and counts on. */
  readonly lookedUp: ShownView['lookedUp'];
}

/** Shows a view to the policy, and checks the plan that it answers. */
export class PlanMaker {
  readonly stepCosts = new StepCostLearner();
  readonly #limits: BatcherLimits;
  readonly #live: LiveSequences;

  constructor(limits: BatcherLimits, live: LiveSequences) {
    this.#limits = limits;
    this.#live = live;
  }

  /**
   * The policy's plan. Where the policy throws or breaks a rule, and there is a fallback policy,
   * the fallback's plan.
   *
   * @throws PolicyError 'ERR_PLAN_INVALID' without a fallback.
   */
  plan(nowMs: number): CheckedPlan {
    const { policy, fallbackPolicy, onPolicyError, maxNumSeqs } = this.#limits;
    const running = this.#live.running.all();
    const ask = (asked: SchedulerPolicy): CheckedPlan => {
      const shown = this.#show(nowMs, running, maxNumSeqs);
      return this.#check(shown, planOf(asked, shown), asked.name);
    };
    try {
      return ask(policy);
    } catch (cause) {
      const error = policyError(policy.name, cause);
      if (fallbackPolicy === undefined) throw error;
      onPolicyError?.(error);
      return ask(fallbackPolicy);
    }
  }

  /**
   * A plan for the sequences that surely go on, while a step is in flight. Undefined where the
   * batcher had better wait for the end of that step.
   */
  planEarly(nowMs: number): CheckedPlan | undefined {
    const { running, pages } = this.#live;
    const goingOn = running.goingOn();
    const endingCount = running.size - goingOn.length;
    // A policy may count on a page for a sequence that runs alone; ending ones still hold theirs.
    const short = endingCount > 0 && pages.freeCount < goingOn.length;
    if (goingOn.length === 0 || short) return undefined;
    const { policy, fallbackPolicy, maxNumSeqs } = this.#limits;
    try {
      const shown = this.#show(nowMs, goingOn, maxNumSeqs - endingCount);
      const plan = planOf(policy, shown);
      if (plan.run.length === 0 || plan.preempt.length > 0) return undefined;
      return this.#check(shown, plan, policy.name);
    } catch (error) {
      if (fallbackPolicy === undefined) throw policyError(policy.name, error);
      // The policy is asked again when all sequences have their tokens; its error is reported then.
      return undefined;
    }
  }

  #show(nowMs: number, running: readonly RunningSequence[], maxNumSeqs: number): ShownView {
    const { waiting, pages } = this.#live;
    const stepCost = this.stepCosts.cost;
    return schedulerView({
      nowMs,
      waiting,
      running,
      pages,
      limits: this.#limits,
      maxNumSeqs,
      stepCost,
    });
  }

  /** Checks against the sequences themselves: the policy may have written to its view. */
  #check({ view, lookedUp, deferred }: ShownView, plan: StepPlan, policy: string): CheckedPlan {
    const { running, waiting, pages } = this.#live;
    const find = (id: SequenceId): PlanCandidate | undefined => {
      const runs = running.get(id);
      if (runs !== undefined) return runs.endsWithPendingToken ? undefined : runs;
      const waits = deferred.has(id) ? undefined : waiting.get(id);
      return waits && { ...(lookedUp.get(id) ?? waits.view), state: 'waiting' };
    };
    const kvPagesFreed = (id: SequenceId): number => {
      const runs = running.get(id);
      return runs === undefined ? 0 : pages.freedBy(runs);
    };
    validatePlan(view, plan, policy, { find, kvPagesFreed });
    return { plan, lookedUp };
  }
}

/**
 * Throws TypeError for what is no plan at all; whether a plan breaks a rule is another question.
 */
function planOf(policy: SchedulerPolicy, { view }: ShownView): StepPlan {
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
