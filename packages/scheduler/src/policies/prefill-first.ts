import type { SchedulerPolicy, SchedulerView, StepPlan } from '@megascale/core';
import { fcfs, startWaiting } from './fcfs.js';
import { serviceOrder } from './service-order.js';

/** A decoding sequence that has had no token for so long gets its step. */
const stallMs = 1_000;

/**
 * Prompts before answers: as long as a prompt can be taken in, a step computes prompt tokens and
 * nothing else. Best time to the first token, and answers that stutter while prompts come; for at
 * most a second, after which a step decodes. Otherwise, and while pages are short, like `fcfs`.
 */
export const prefillFirst: SchedulerPolicy = {
  specVersion: 1,
  name: 'prefill-first',
  plan(view) {
    const stalled = view.running.some(
      ({ tokensLeft, lastTokenAtMs }) =>
        tokensLeft === 1 && lastTokenAtMs !== undefined && view.nowMs - lastTokenAtMs > stallMs,
    );
    // A preempted sequence would lose its pages again if it did not let the others go on.
    const short = [...view.running, ...view.waiting].some(({ preemptions }) => preemptions > 0);
    const prefill = stalled || short ? [] : planPrefill(view);
    return prefill.length > 0 ? { run: prefill, preempt: [] } : fcfs.plan(view);
  },
};

/**
 * Chunks of running prompts, then new ones, as far as every running sequence still finds the pages
 * it needs next.
 */
function planPrefill(view: SchedulerView): StepPlan['run'][number][] {
  const run: StepPlan['run'][number][] = [];
  let left = view.maxNumBatchedTokens;
  let free = view.kvPagesFree;
  for (const { contextTokens, kvPages, tokensLeft } of view.running) {
    free -= Math.max(0, Math.ceil((contextTokens + tokensLeft) / view.kvPageSize) - kvPages);
  }
  if (free < 0) return [];
  for (const { id, tokensLeft } of view.running) {
    const tokens = Math.min(tokensLeft, view.prefillChunkTokensMax, left);
    if (tokensLeft === 1 || tokens < 1) continue;
    run.push({ id, tokens });
    left -= tokens;
  }
  const waiting = serviceOrder(view.waiting, view.running);
  return [...run, ...startWaiting({ ...view, waiting }, run)];
}
