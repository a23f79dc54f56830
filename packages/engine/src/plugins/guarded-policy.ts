import { createContext, Script } from 'node:vm';
import {
  PolicyError,
  type SchedulerPolicy,
  type SchedulerView,
  type StepPlan,
} from '@megascale/core';

/**
 * Bounds the time of a custom policy. The step loop is synchronous: only this limit ends a policy
 * that loops. Past the limit the policy is stopped, and not called again.
 *
 * The `plan` of the result throws PolicyError 'ERR_PLAN_TIMEOUT' from then on, and before that what
 * the policy throws.
 */
export function guardedPolicy(policy: SchedulerPolicy, timeLimitMs: number): SchedulerPolicy {
  const script = new Script('plan()');
  let view: SchedulerView | undefined;
  const world: { plan: () => StepPlan } = {
    plan: () => {
      if (view === undefined) throw new TypeError('There is nothing to plan.');
      return policy.plan(view);
    },
  };
  const context = createContext(world);
  let stopped: PolicyError | undefined;
  return {
    specVersion: 1,
    name: policy.name,
    plan(given) {
      if (stopped !== undefined) throw stopped;
      view = given;
      try {
        // The context bounds the time of whatever runs inside the call, wherever it was defined.
        return script.runInContext(context, { timeout: timeLimitMs }) as StepPlan;
      } catch (error) {
        if ((error as NodeJS.ErrnoException | null)?.code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT')
          throw error;
        stopped = new PolicyError('ERR_PLAN_TIMEOUT', {
          message:
            `Policy '${policy.name}' took more than ${String(timeLimitMs)} ms for one plan and ` +
            'is not asked again; fcfs plans from now on. Mend it, or raise policyTimeMs.',
          details: { policy: policy.name, timeLimitMs },
          cause: error,
        });
        throw stopped;
      }
    },
  };
}
