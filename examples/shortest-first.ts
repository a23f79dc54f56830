// A scheduler policy as a user would write it: short prompts start before long ones, so that a
// question does not wait behind a book. Run: npx megascale serve MODEL --policy
// examples/shortest-first.ts
import type { SchedulerPolicy, SchedulerView, WaitingView } from '@megascale/core';
import { fcfs } from '@megascale/scheduler';

/**
 * Who has waited for so long starts before all others, however long the prompt: nobody waits for
 * ever.
 */
const patienceMs = 2_000;

/**
 * 0: gave up its pages, its client has read half an answer. 1: has waited long enough. 2: the
 * others.
 */
function rank({ preemptions, arrivedAtMs }: WaitingView, nowMs: number): number {
  if (preemptions > 0) return 0;
  return nowMs - arrivedAtMs > patienceMs ? 1 : 2;
}

function startOrder({ waiting, nowMs }: SchedulerView): WaitingView[] {
  return [...waiting].sort((a, b) => {
    const ranks = rank(a, nowMs) - rank(b, nowMs);
    if (ranks !== 0) return ranks;
    return rank(a, nowMs) === 2 ? a.tokensLeft - b.tokensLeft : a.arrivedAtMs - b.arrivedAtMs;
  });
}

/** Everything else (who goes on, how prompts are cut, who gives up pages) is fcfs's business. */
const shortestFirst: SchedulerPolicy = {
  specVersion: 1,
  name: 'shortest-first',
  plan(view) {
    return fcfs.plan({ ...view, waiting: startOrder(view) });
  },
};

export default shortestFirst;
