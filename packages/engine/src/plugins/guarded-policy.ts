import { createContext, Script } from 'node:vm';
import {
  PolicyError,
  type SchedulerPolicy,
  type SchedulerView,
  type StepPlan,
} from '@megascale/core';

/**
 * A policy that somebody else wrote, with a limit on its time. The step loop is synchronous: nothing else could end a policy that loops. Past the limit it is
 * stopped, and not asked again.
 *
 * Its `plan` throws PolicyError 'ERR_PLAN_TIMEOUT' from then on, and what the policy throws before.
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
          message: `Policy '${policy.name}' took more than ${String(timeLimitMs)} ms for one plan and is not asked again; fcfs plans from now on. Mend it, or raise policyTimeMs.`,
          details: { policy: policy.name, timeLimitMs },
          cause: error,
        });
        throw stopped;
      }
    },
  };
}
