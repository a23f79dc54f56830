import { PolicyError, type SchedulerView, type SequenceId, type StepPlan } from '@megascale/core';
import { pagesMissing } from '../kv/page-pool.js';

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

/** What a view says of one sequence that a plan names. */
export interface PlanCandidate {
  readonly running: boolean;
  readonly tokensLeft: number;
  readonly contextTokens: number;
  readonly kvPages: number;
  readonly kvPagesFreed: number;
}

/** Where a plan's ids are looked up. */
export interface PlanCandidates<Candidate extends PlanCandidate = PlanCandidate> {
  /** Undefined for one that the view does not show. */
  find(id: SequenceId): Candidate | undefined;
  /** True the first time it is asked for this candidate. */
  firstNaming(candidate: Candidate): boolean;
}

/**
 * Checks a plan against the view it was made from, before anything is changed. `candidates` says the same as the view, for callers that can look an id up
 * faster than by going through it.
 *
 * @throws PolicyError 'ERR_PLAN_INVALID' with `details.rule` naming the first rule broken.
 */
export function validatePlan<Candidate extends PlanCandidate>(
  view: SchedulerView,
  plan: StepPlan,
  policyName: string,
  candidates: PlanCandidates<Candidate>,
): void;
export function validatePlan(view: SchedulerView, plan: StepPlan, policyName: string): void;
export function validatePlan(
  view: SchedulerView,
  plan: StepPlan,
  policyName: string,
  candidates: PlanCandidates = candidatesOf(view),
): void {
  const violation = findViolation(view, plan, candidates);
  if (violation === undefined) return;
  const { rule, finding } = violation;
  throw new PolicyError('ERR_PLAN_INVALID', {
    message: `Policy '${policyName}' broke the rule '${rule}': ${finding} Mend the policy, or run with another one.`,
    details: { policy: policyName, rule, finding },
  });
}

function candidatesOf({ running, waiting }: SchedulerView): PlanCandidates {
  const byId = new Map<SequenceId, PlanCandidate>();
  for (const each of waiting) byId.set(each.id, { ...each, running: false, kvPagesFreed: 0 });
  for (const each of running) byId.set(each.id, { ...each, running: true });
  const named = new Set<PlanCandidate>();
  return {
    find: (id) => byId.get(id),
    firstNaming: (candidate) => named.size < named.add(candidate).size,
  };
}

/** One pass, with one look-up of each id: this is done in every step. */
function findViolation(
  view: SchedulerView,
  plan: StepPlan,
  candidates: PlanCandidates,
): Violation | undefined {
  let free = view.kvPagesFree;
  for (const id of plan.preempt) {
    const candidate = candidates.find(id);
    if (candidate === undefined) return unknown(id);
    if (!candidates.firstNaming(candidate)) return namedTwice(id);
    if (!candidate.running) {
      return { rule: 'preempt-running-only', finding: `sequence ${id} is waiting already.` };
    }
    free += candidate.kvPagesFreed;
  }
  const available = free;
  let running = view.running.length - plan.preempt.length;
  let total = 0;
  for (const { id, tokens } of plan.run) {
    const candidate = candidates.find(id);
    if (candidate === undefined) return unknown(id);
    if (!candidates.firstNaming(candidate)) return namedTwice(id);
    const violation = checkTokens(id, tokens, candidate, view);
    if (violation !== undefined) return violation;
    total += tokens;
    if (!candidate.running) running += 1;
    // Pages that a starting sequence would share may be those of a preempted one, which are counted as freed.
    const costless = !candidate.running && plan.preempt.length > 0 ? 0 : candidate.kvPages;
    free -= pagesMissing(candidate.contextTokens + tokens, costless, view.kvPageSize);
  }
  if (total > view.maxNumBatchedTokens) {
    const finding = `the step has ${total} tokens, maxNumBatchedTokens is ${view.maxNumBatchedTokens}.`;
    return { rule: 'step-within-limit', finding };
  }
  if (running > view.maxNumSeqs) {
    const finding = `${running} sequences would run, maxNumSeqs is ${view.maxNumSeqs}.`;
    return { rule: 'running-within-limit', finding };
  }
  if (free < 0) {
    const finding = `the step takes ${available - free} KV pages, ${available} are free.`;
    return { rule: 'pages-within-free', finding };
  }
  return checkProgress(view, plan);
}

function unknown(id: SequenceId): Violation {
  return { rule: 'known-sequences', finding: `sequence ${id} is not in the view.` };
}

function namedTwice(id: SequenceId): Violation {
  return { rule: 'named-once', finding: `sequence ${id} is named twice in run and preempt.` };
}

function checkTokens(
  id: SequenceId,
  tokens: number,
  { tokensLeft }: PlanCandidate,
  { prefillChunkTokensMax }: SchedulerView,
): Violation | undefined {
  if (!Number.isInteger(tokens) || tokens < 1 || tokens > tokensLeft) {
    const finding = `sequence ${id} is to compute ${tokens} tokens, of 1 to ${tokensLeft}.`;
    return { rule: 'tokens-in-range', finding };
  }
  if (tokens <= prefillChunkTokensMax) return undefined;
  const finding = `sequence ${id} is to compute ${tokens} tokens, prefillChunkTokensMax is ${prefillChunkTokensMax}.`;
  return { rule: 'chunk-within-limit', finding };
}

/** There is no "ask me later": a plan that does nothing while there is work would wait for ever. Preempting some, not all, is something. */
function checkProgress(view: SchedulerView, plan: StepPlan): Violation | undefined {
  const work = view.running.length + view.waiting.length;
  const makesRoom = plan.preempt.length > 0 && plan.preempt.length < view.running.length;
  if (work === 0 || plan.run.length > 0 || makesRoom) return undefined;
  const finding = `nothing runs although ${view.running.length} sequences are running and ${view.waiting.length} wait.`;
  return { rule: 'progress', finding };
}
