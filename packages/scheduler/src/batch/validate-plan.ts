import { PolicyError, type SchedulerView, type SequenceId, type StepPlan } from '@megascale/core';
import { pagesMissing } from '../kv/page-pool.js';

/** The rules that every plan keeps, as PolicyError messages and `details.rule` name them. */
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

/** What a plan may count on of one sequence that it names. */
export interface PlanCandidate {
  readonly state: 'running' | 'waiting';
  readonly tokensLeft: number;
  readonly contextTokens: number;
  readonly kvPages: number;
}

/** Where a plan's ids are looked up. */
export interface PlanCandidates {
  /** Undefined for a sequence that the view does not show. */
  find(id: SequenceId): PlanCandidate | undefined;
  /** Pages that come free if this running sequence is preempted. */
  kvPagesFreed(id: SequenceId): number;
}

/**
 * Checks a plan against the view it was made from, before anything is changed, and changes nothing
 * itself. `candidates` says the same as the view, for callers that look an id up faster than by
 * going through the view.
 *
 * @throws PolicyError 'ERR_PLAN_INVALID' with `details.rule` naming the first rule broken.
 */
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
    message:
      `Policy '${policyName}' broke the rule '${rule}': ${finding} ` +
      'Mend the policy, or run with another one.',
    details: { policy: policyName, rule, finding },
  });
}

function candidatesOf({ running, waiting }: SchedulerView): PlanCandidates {
  const byId = new Map<SequenceId, PlanCandidate>();
  for (const each of waiting) byId.set(each.id, { ...each, state: 'waiting' });
  for (const each of running) byId.set(each.id, { ...each, state: 'running' });
  const freed = new Map(running.map(({ id, kvPagesFreed }) => [id, kvPagesFreed]));
  return { find: (id) => byId.get(id), kvPagesFreed: (id) => freed.get(id) ?? 0 };
}

function findViolation(
  view: SchedulerView,
  plan: StepPlan,
  candidates: PlanCandidates,
): Violation | undefined {
  const named = new Set<SequenceId>();
  let available = view.kvPagesFree;
  for (const id of plan.preempt) {
    const candidate = candidates.find(id);
    if (candidate === undefined) return unknown(id);
    if (named.has(id)) return namedTwice(id);
    named.add(id);
    if (candidate.state !== 'running') return notRunning(id);
    available += candidates.kvPagesFreed(id);
  }
  let running = view.running.length - plan.preempt.length;
  let tokensTotal = 0;
  let pagesTotal = 0;
  for (const { id, tokens } of plan.run) {
    const candidate = candidates.find(id);
    if (candidate === undefined) return unknown(id);
    if (named.has(id)) return namedTwice(id);
    named.add(id);
    const violation = checkTokens(id, tokens, candidate, view);
    if (violation !== undefined) return violation;
    const { state, contextTokens, kvPages } = candidate;
    if (state === 'waiting') running += 1;
    tokensTotal += tokens;
    // A starting sequence may share the pages of a preempted one, which count as freed already.
    const costless = state === 'waiting' && plan.preempt.length > 0 ? 0 : kvPages;
    pagesTotal += pagesMissing(contextTokens + tokens, costless, view.kvPageSize);
  }
  return (
    checkLimits(view, { tokensTotal, running }) ??
    checkPages(pagesTotal, available) ??
    checkProgress(view, plan)
  );
}

function unknown(id: SequenceId): Violation {
  return { rule: 'known-sequences', finding: `sequence ${id} is not in the view.` };
}

function namedTwice(id: SequenceId): Violation {
  return { rule: 'named-once', finding: `sequence ${id} is named twice in run and preempt.` };
}

function notRunning(id: SequenceId): Violation {
  return { rule: 'preempt-running-only', finding: `sequence ${id} is waiting already.` };
}

function checkTokens(
  id: SequenceId,
  tokens: number,
  { tokensLeft }: PlanCandidate,
  { prefillChunkTokensMax }: SchedulerView,
): Violation | undefined {
  const finding = `sequence ${id} is to compute ${tokens} tokens`;
  if (!Number.isInteger(tokens) || tokens < 1 || tokens > tokensLeft) {
    return { rule: 'tokens-in-range', finding: `${finding}, its tokensLeft is ${tokensLeft}.` };
  }
  if (tokens <= prefillChunkTokensMax) return undefined;
  return {
    rule: 'chunk-within-limit',
    finding: `${finding}, prefillChunkTokensMax is ${prefillChunkTokensMax}.`,
  };
}

function checkLimits(
  { maxNumBatchedTokens, maxNumSeqs }: SchedulerView,
  { tokensTotal, running }: { readonly tokensTotal: number; readonly running: number },
): Violation | undefined {
  if (tokensTotal > maxNumBatchedTokens) {
    const finding = `the step has ${tokensTotal} tokens, maxNumBatchedTokens is ${maxNumBatchedTokens}.`;
    return { rule: 'step-within-limit', finding };
  }
  if (running <= maxNumSeqs) return undefined;
  const finding = `${running} sequences would run, maxNumSeqs is ${maxNumSeqs}.`;
  return { rule: 'running-within-limit', finding };
}

function checkPages(taken: number, available: number): Violation | undefined {
  if (taken <= available) return undefined;
  const finding = `the step takes ${taken} KV pages, ${available} are free.`;
  return { rule: 'pages-within-free', finding };
}

/**
 * A plan that does nothing while there is work would wait for ever: a policy cannot ask to be
 * called later. Preempting some sequences, and not all, is something.
 */
function checkProgress(view: SchedulerView, plan: StepPlan): Violation | undefined {
  const [running, waiting] = [view.running.length, view.waiting.length];
  const makesRoom = plan.preempt.length > 0 && plan.preempt.length < running;
  if (running + waiting === 0 || plan.run.length > 0 || makesRoom) return undefined;
  const finding = `nothing runs although ${running} sequences are running and ${waiting} wait.`;
  return { rule: 'progress', finding };
}
