import type {
  RunningView,
  SchedulerPolicy,
  SchedulerView,
  ServiceView,
  StepPlan,
} from '@megascale/core';
import { pagesMissing } from '../kv/page-pool.js';
import { serviceOrder, virtualArrivalMs } from './service-order.js';

type PlannedTokens = StepPlan['run'][number];

/**
 * Serves sequences in the order of arrival; a level of priority counts as ten seconds, and tenants
 * take turns (see `serviceOrder`). Running sequences go on (a decoding one by its one token, the
 * others by a prefill chunk); then waiting ones start in order, and none overtakes the head of the
 * queue. When a running sequence cannot place one more token, the sequences that come last in the
 * order give up their pages. The first always goes on, so every sequence becomes the first one day:
 * none starves.
 */
export const fcfs: SchedulerPolicy = {
  specVersion: 1,
  name: 'fcfs',
  plan(given) {
    const view = { ...given, running: byVirtualArrival(given.running) };
    const continued = oneTokenEach(view) ?? continueRunning(view, shareTokens(view));
    // Where pages are short, a sequence that started now would be preempted next.
    const full = view.running.length >= view.maxNumSeqs;
    if (full || continued.preempt.length > 0) return continued;
    const waiting = serviceOrder(view.waiting, view.running);
    const started = startWaiting({ ...view, waiting }, continued.run);
    return started.length === 0 ? continued : { run: [...continued.run, ...started], preempt: [] };
  },
};

function byVirtualArrival(running: readonly RunningView[]): readonly RunningView[] {
  return running.some(({ priority }) => priority !== 0)
    ? [...running].sort((a, b) => virtualArrivalMs(a) - virtualArrivalMs(b))
    : running;
}

/**
 * The plan of most steps, found in one pass: all running sequences decode, and none lacks a page.
 * Undefined where that is not so.
 */
function oneTokenEach(view: SchedulerView): StepPlan | undefined {
  if (view.running.length > view.maxNumBatchedTokens) return undefined;
  const run: PlannedTokens[] = [];
  let free = view.kvPagesFree;
  for (const sequence of view.running) {
    if (sequence.tokensLeft !== 1) return undefined;
    free -= pagesToTake(sequence, 1, view.kvPageSize);
    run.push({ id: sequence.id, tokens: 1 });
  }
  return free < 0 ? undefined : { run, preempt: [] };
}

/**
 * [running] tokens for each running sequence, within the step's limit. The first gets one before
 * all others, because it must go on so that none starves; then every decoding sequence gets its
 * one, and prefill chunks share what is left.
 */
function shareTokens(view: SchedulerView): number[] {
  const { running, prefillChunkTokensMax } = view;
  const shares: number[] = [];
  let left = view.maxNumBatchedTokens;
  let wanting = false;
  for (let index = 0; index < running.length; index += 1) {
    const decodes = running[index]?.tokensLeft === 1;
    const share = left > 0 && (index === 0 || decodes) ? 1 : 0;
    shares.push(share);
    left -= share;
    wanting ||= !decodes;
  }
  if (!wanting) return shares;
  for (let index = 0; index < running.length && left > 0; index += 1) {
    const tokensLeft = running[index]?.tokensLeft ?? 0;
    const share = shares[index] ?? 0;
    const more = Math.min(tokensLeft, prefillChunkTokensMax) - share;
    if (more <= 0) continue;
    shares[index] = share + Math.min(more, left);
    left -= Math.min(more, left);
  }
  return shares;
}

/**
 * Gives out the free pages in the order of starting. Sequences from the end are preempted, before
 * their own turn, where pages are short.
 */
function continueRunning(view: SchedulerView, shares: readonly number[]): StepPlan {
  const { running, kvPageSize } = view;
  const run: PlannedTokens[] = [];
  let free = view.kvPagesFree;
  let kept = running.length;
  for (let index = 0; index < kept; index += 1) {
    const sequence = running[index];
    const share = shares[index] ?? 0;
    if (sequence === undefined || share === 0) continue;
    const { id, contextTokens, kvPages } = sequence;
    // Tokens that fit in its own pages and the free ones.
    let room = (kvPages + free) * kvPageSize - contextTokens;
    while (room < 1 && kept > index + 1) {
      kept -= 1;
      const freed = running[kept]?.kvPagesFreed ?? 0;
      free += freed;
      room += freed * kvPageSize;
    }
    // The last one left may find no room: it keeps its pages and waits for those before it.
    const tokens = Math.min(share, room);
    if (tokens < 1) continue;
    free -= pagesMissing(contextTokens + tokens, kvPages, kvPageSize);
    run.push({ id, tokens });
  }
  return { run, preempt: running.slice(kept).map(({ id }) => id) };
}

/** Starts waiting sequences in the order given, each only if its whole prefill will find pages. */
export function startWaiting(
  view: SchedulerView,
  continued: readonly PlannedTokens[],
): PlannedTokens[] {
  const started: PlannedTokens[] = [];
  if (view.waiting.length === 0) return started;
  let places = view.maxNumSeqs - view.running.length;
  if (places < 1) return started;
  let left = view.maxNumBatchedTokens - continued.reduce((sum, { tokens }) => sum + tokens, 0);
  let free = view.kvPagesFree;
  for (const sequence of view.running) {
    free -= pagesToTake(sequence, sequence.tokensLeft, view.kvPageSize);
  }
  for (const sequence of view.waiting) {
    const { id, tokensLeft } = sequence;
    const pages = pagesToTake(sequence, tokensLeft, view.kvPageSize);
    if (places < 1 || left < 1 || pages > free) break;
    const tokens = Math.min(tokensLeft, view.prefillChunkTokensMax, left);
    started.push({ id, tokens });
    places -= 1;
    left -= tokens;
    free -= pages;
  }
  return started;
}

function pagesToTake(sequence: ServiceView, tokens: number, kvPageSize: number): number {
  return pagesMissing(sequence.contextTokens + tokens, sequence.kvPages, kvPageSize);
}
