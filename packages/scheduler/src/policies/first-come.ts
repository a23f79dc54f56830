import type { RunningView, SchedulerPolicy, SchedulerView, StepPlan } from '@megascale/core';
import { pagesForTokens } from '../kv/page-pool.js';

type PlannedTokens = StepPlan['run'][number];

/**
 * Whoever came first is served first. Running sequences go on (a decoding one by its one token, the others by a
 * prefill chunk); then waiting ones start in order, and nobody overtakes the head of the queue. When a running sequence cannot
 * place one more token, those that started last give up their pages. The sequence that started first always goes on, so every sequence
 * becomes the first one day: nobody starves.
 */
export const firstCome: SchedulerPolicy = {
  specVersion: 1,
  name: 'first-come',
  plan(view) {
    const continued = continueRunning(view, shareTokens(view));
    // Pages were short: whoever started now would be preempted next.
    if (continued.preempt.length > 0) return continued;
    return { run: [...continued.run, ...startWaiting(view, continued.run)], preempt: [] };
  },
};

/**
 * Tokens for each running sequence within the step's limit. The first gets one before all others, because it must go on for
 * nobody to starve; then every decoding sequence its one, and prefill chunks share what is left.
 */
function shareTokens(view: SchedulerView): number[] {
  const shares = view.running.map(() => 0);
  let left = view.tokensPerStepMax;
  const raise = (index: number, wanted: number) => {
    const share = shares[index] ?? 0;
    const more = Math.min(wanted - share, left);
    shares[index] = share + more;
    left -= more;
  };
  if (shares.length > 0) raise(0, 1);
  for (const [index, sequence] of view.running.entries()) {
    if (sequence.tokensLeft === 1) raise(index, 1);
  }
  for (const [index, sequence] of view.running.entries()) {
    raise(index, Math.min(sequence.tokensLeft, view.prefillChunkTokensMax));
  }
  return shares;
}

/** Gives out the free pages in the order of starting; victims come from the end, before their own turn. */
function continueRunning(view: SchedulerView, shares: readonly number[]): StepPlan {
  const { running, kvPageSize } = view;
  const run: PlannedTokens[] = [];
  let free = view.kvPagesFree;
  let kept = running.length;
  for (const [index, sequence] of running.entries()) {
    const share = shares[index] ?? 0;
    if (index >= kept) break;
    if (share === 0) continue;
    while (room(sequence, free, kvPageSize) < 1 && kept > index + 1) {
      kept -= 1;
      free += running[kept]?.kvPages ?? 0;
    }
    // The last one left may find no room: it keeps its pages and waits for those before it.
    const tokens = Math.min(share, room(sequence, free, kvPageSize));
    if (tokens < 1) continue;
    free -= pagesToTake(sequence, tokens, kvPageSize);
    run.push({ id: sequence.id, tokens });
  }
  return { run, preempt: running.slice(kept).map(({ id }) => id) };
}

/** Starts waiting sequences in order, each only if its whole prefill will find pages. */
function startWaiting(view: SchedulerView, continued: readonly PlannedTokens[]): PlannedTokens[] {
  const started: PlannedTokens[] = [];
  let places = view.runningMax - view.running.length;
  let left = view.tokensPerStepMax - continued.reduce((sum, { tokens }) => sum + tokens, 0);
  let free = view.kvPagesFree;
  for (const sequence of view.running) {
    free -= pagesToTake(sequence, sequence.tokensLeft, view.kvPageSize);
  }
  for (const { id, tokensLeft } of view.waiting) {
    const pages = pagesForTokens(tokensLeft, view.kvPageSize);
    if (places < 1 || left < 1 || pages > free) break;
    const tokens = Math.min(tokensLeft, view.prefillChunkTokensMax, left);
    started.push({ id, tokens });
    places -= 1;
    left -= tokens;
    free -= pages;
  }
  return started;
}

/** Tokens that fit in the sequence's own pages and the free ones. */
function room(sequence: RunningView, free: number, kvPageSize: number): number {
  return (sequence.kvPages + free) * kvPageSize - sequence.contextTokens;
}

function pagesToTake(sequence: RunningView, tokens: number, kvPageSize: number): number {
  const pages = pagesForTokens(sequence.contextTokens + tokens, kvPageSize);
  return Math.max(0, pages - sequence.kvPages);
}
