import type { ServiceView } from '@megascale/core';

/** How much waiting one level of priority is worth. */
const priorityMs = 10_000;

/**
 * When a sequence would have come had it no priority: smaller is served sooner. A level of priority
 * is worth ten seconds of waiting, so finitely many overtake a sequence that waits: none starves.
 */
export function virtualArrivalMs({ arrivedAtMs, priority }: ServiceView): number {
  return arrivedAtMs - priority * priorityMs;
}

/**
 * The order in which they are served: by virtual arrival and, where requests name their tenants, in
 * turns between tenants, those first who have fewest sequences running. Without priorities and
 * tenants it is the order given, and costs next to nothing.
 */
export function serviceOrder<View extends ServiceView>(
  sequences: readonly View[],
  running: readonly ServiceView[] = [],
): readonly View[] {
  const plain = sequences.every(({ priority }) => priority === 0);
  const sorted = plain
    ? sequences
    : [...sequences].sort((a, b) => virtualArrivalMs(a) - virtualArrivalMs(b));
  return sorted.some(({ tenant }) => tenant !== undefined) ? inTurns(sorted, running) : sorted;
}

/**
 * Next is always the first of the tenant with the fewest sequences, running and taken so far; of
 * equal ones, whose turn came first in the order given.
 */
function inTurns<View extends ServiceView>(
  sorted: readonly View[],
  running: readonly ServiceView[],
): View[] {
  const queues = new Map<string | undefined, { taken: number; next: number; own: View[] }>();
  for (const view of sorted) {
    const queue = queues.get(view.tenant) ?? { taken: 0, next: 0, own: [] };
    queue.own.push(view);
    queues.set(view.tenant, queue);
  }
  for (const { tenant } of running) {
    const queue = queues.get(tenant);
    if (queue !== undefined) queue.taken += 1;
  }
  const order: View[] = [];
  while (order.length < sorted.length) {
    let least: { taken: number; next: number; own: View[] } | undefined;
    for (const queue of queues.values()) {
      if (queue.next === queue.own.length) continue;
      if (least === undefined || queue.taken < least.taken) least = queue;
    }
    const view = least?.own[least.next];
    if (least === undefined || view === undefined) break;
    least.next += 1;
    least.taken += 1;
    order.push(view);
  }
  return order;
}
