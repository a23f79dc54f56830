import { PolicyError, type SchedulerView, type SequenceId, type StepPlan } from '@megascale/core';
import { pagesForTokens } from './kv/page-pool.js';

/** What every plan keeps; the names appear in PolicyError messages and in `details.rule`. */
export type PlanRule =
  | 'known-sequences'
  | 'named-once'
  | 'preempt-running-only'
  | 'tokens-in-range'
  | 'chunk-within-limit'
  | 'step-within-limit'
  | 'running-within-limit'
  | 'pages-within-free'
  | 'progress';

interface Violation {
  readonly rule: PlanRule;
  /** Found and expected, as a sentence. */
  readonly finding: string;
}

/** What a view says of one sequence, waiting or running. */
interface Candidate {
  readonly running: boolean;
  readonly tokensLeft: number;
  readonly contextTokens: number;
  readonly kvPages: number;
}

/**
 * Checks a plan against the view it was made from, before anything is changed.
 *
 * @throws PolicyError 'ERR_PLAN_INVALID' with `details.rule` naming the first rule broken.
 */
export function validatePlan(view: SchedulerView, plan: StepPlan, policyName: string): void {
  const violation = findViolation(view, plan);
  if (violation === undefined) return;
  const { rule, finding } = violation;
  throw new PolicyError('ERR_PLAN_INVALID', {
    message: `Policy '${policyName}' broke the rule '${rule}': ${finding} Mend the policy, or run with another one.`,
    details: { policy: policyName, rule, finding },
  });
}

function findViolation(view: SchedulerView, plan: StepPlan): Violation | undefined {
  const candidates = candidatesOf(view);
  return (
    checkNames(candidates, plan) ??
    checkTokens(view, candidates, plan) ??
    checkPlacesAndPages(view, candidates, plan) ??
    checkProgress(view, plan)
  );
}

function candidatesOf(view: SchedulerView): ReadonlyMap<SequenceId, Candidate> {
  const candidates = new Map<SequenceId, Candidate>();
  for (const { id, tokensLeft } of view.waiting) {
    candidates.set(id, { running: false, tokensLeft, contextTokens: 0, kvPages: 0 });
  }
  for (const { id, tokensLeft, contextTokens, kvPages } of view.running) {
    candidates.set(id, { running: true, tokensLeft, contextTokens, kvPages });
  }
  return candidates;
}

function checkNames(
  candidates: ReadonlyMap<SequenceId, Candidate>,
  plan: StepPlan,
): Violation | undefined {
  const named = new Set<SequenceId>();
  for (const id of [...plan.preempt, ...plan.run.map((entry) => entry.id)]) {
    if (!candidates.has(id)) {
      return { rule: 'known-sequences', finding: `sequence ${id} is not in the view.` };
    }
    if (named.has(id)) {
      return { rule: 'named-once', finding: `sequence ${id} is named twice in run and preempt.` };
    }
    named.add(id);
  }
  const idle = plan.preempt.find((id) => candidates.get(id)?.running === false);
  if (idle === undefined) return undefined;
  return { rule: 'preempt-running-only', finding: `sequence ${idle} is waiting already.` };
}

function checkTokens(
  view: SchedulerView,
  candidates: ReadonlyMap<SequenceId, Candidate>,
  plan: StepPlan,
): Violation | undefined {
  let total = 0;
  for (const { id, tokens } of plan.run) {
    const left = candidates.get(id)?.tokensLeft ?? 0;
    if (!Number.isInteger(tokens) || tokens < 1 || tokens > left) {
      const finding = `sequence ${id} is to compute ${tokens} tokens, of 1 to ${left}.`;
      return { rule: 'tokens-in-range', finding };
    }
    if (tokens > view.prefillChunkTokensMax) {
      const finding = `sequence ${id} is to compute ${tokens} tokens, prefillChunkTokensMax is ${view.prefillChunkTokensMax}.`;
      return { rule: 'chunk-within-limit', finding };
    }
    total += tokens;
  }
  if (total <= view.tokensPerStepMax) return undefined;
  const finding = `the step has ${total} tokens, tokensPerStepMax is ${view.tokensPerStepMax}.`;
  return { rule: 'step-within-limit', finding };
}

function checkPlacesAndPages(
  view: SchedulerView,
  candidates: ReadonlyMap<SequenceId, Candidate>,
  plan: StepPlan,
): Violation | undefined {
  let running = view.running.length - plan.preempt.length;
  let free = view.kvPagesFree;
  for (const id of plan.preempt) free += candidates.get(id)?.kvPages ?? 0;
  const available = free;
  for (const { id, tokens } of plan.run) {
    const candidate = candidates.get(id);
    if (candidate === undefined) continue;
    if (!candidate.running) running += 1;
    const pages = pagesForTokens(candidate.contextTokens + tokens, view.kvPageSize);
    free -= Math.max(0, pages - candidate.kvPages);
  }
  if (running > view.runningMax) {
    const finding = `${running} sequences would run, runningMax is ${view.runningMax}.`;
    return { rule: 'running-within-limit', finding };
  }
  if (free >= 0) return undefined;
  const finding = `the step takes ${available - free} KV pages, ${available} are free.`;
  return { rule: 'pages-within-free', finding };
}

/** There is no "ask me later": a plan that does nothing while there is work would wait for ever. */
function checkProgress(view: SchedulerView, plan: StepPlan): Violation | undefined {
  const work = view.running.length + view.waiting.length;
  if (work === 0 || plan.run.length > 0) return undefined;
  const finding = `nothing runs although ${view.running.length} sequences are running and ${view.waiting.length} wait.`;
  return { rule: 'progress', finding };
}
