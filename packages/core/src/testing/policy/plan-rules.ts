import type { SchedulerView, StepPlan } from '../../spec/scheduler-policy.js';
import type { SequenceId } from '../../spec/units.js';

/**
 * The first rule of `SchedulerView` and `StepPlan` that a plan breaks, as a sentence; undefined for
 * a good plan.
 */
export function brokenRule(view: SchedulerView, plan: StepPlan): string | undefined {
  return brokenName(view, plan) ?? brokenLimit(view, plan) ?? brokenProgress(view, plan);
}

function brokenName(view: SchedulerView, plan: StepPlan): string | undefined {
  const running = new Set(view.running.map(({ id }) => id));
  const known = new Set([...running, ...view.waiting.map(({ id }) => id)]);
  const named = new Set<SequenceId>();
  for (const id of [...plan.run.map((entry) => entry.id), ...plan.preempt]) {
    if (!known.has(id)) return `sequence ${id} is not in the view`;
    if (named.has(id)) return `sequence ${id} is named twice`;
    named.add(id);
  }
  const idle = plan.preempt.find((id) => !running.has(id));
  return idle === undefined ? undefined : `sequence ${idle} is preempted but not running`;
}

function brokenLimit(view: SchedulerView, plan: StepPlan): string | undefined {
  const held = new Map(view.running.map((sequence) => [sequence.id, sequence]));
  const waiting = new Map(view.waiting.map((sequence) => [sequence.id, sequence]));
  let free = view.kvPagesFree;
  for (const id of plan.preempt) free += held.get(id)?.kvPagesFreed ?? 0;
  let runningCount = held.size - plan.preempt.length;
  let stepTokens = 0;
  for (const { id, tokens } of plan.run) {
    const left = (held.get(id) ?? waiting.get(id))?.tokensLeft ?? 0;
    if (!Number.isInteger(tokens) || tokens < 1 || tokens > left) {
      return `sequence ${id} computes ${tokens} tokens of ${left}`;
    }
    if (tokens > view.prefillChunkTokensMax) {
      return `sequence ${id} computes ${tokens} tokens, a chunk has ${view.prefillChunkTokensMax}`;
    }
    if (waiting.has(id)) runningCount += 1;
    stepTokens += tokens;
    const { contextTokens = 0, kvPages = 0 } = held.get(id) ?? waiting.get(id) ?? {};
    const costless = waiting.has(id) && plan.preempt.length > 0 ? 0 : kvPages;
    free -= Math.max(0, Math.ceil((contextTokens + tokens) / view.kvPageSize) - costless);
  }
  if (free < 0) return `${-free} KV pages are missing`;
  if (stepTokens > view.maxNumBatchedTokens) return `${stepTokens} tokens in a step`;
  if (runningCount > view.maxNumSeqs) return `${runningCount} sequences run`;
  return undefined;
}

/**
 * A policy cannot ask to be called later: nothing would change until it runs a sequence, or preempts
 * some and not all.
 */
function brokenProgress(view: SchedulerView, plan: StepPlan): string | undefined {
  const work = view.waiting.length + view.running.length;
  const makesRoom = plan.preempt.length > 0 && plan.preempt.length < view.running.length;
  return work > 0 && plan.run.length === 0 && !makesRoom
    ? `nothing runs of ${work} sequences`
    : undefined;
}
