import type { SchedulerView, SequenceId, StepCost, WaitingView } from '@megascale/core';
import type { KvCache } from '../kv/kv-cache.js';
import type { RunningSequence } from '../sequence/running-sequence.js';
import { runningView, waitingView } from '../sequence/sequence-views.js';
import type { WaitingLine } from '../sequence/waiting-line.js';
import type { BatcherLimits } from './batcher-options.js';

/** Waiting sequences, from the head of the line, whose cached prefix is looked up for a step. */
const lookedUpMax = 256;

/** What a view is made from. */
export interface ViewSources {
  readonly nowMs: number;
  readonly waiting: WaitingLine;
  /** The sequences that run and can be in the next step, in the order of starting. */
  readonly running: readonly RunningSequence[];
  readonly pages: KvCache;
  readonly limits: BatcherLimits;
  /** Sequences that may run at once, this time. */
  readonly maxNumSeqs: number;
  readonly stepCost: StepCost | undefined;
}

/** A view, and what else it says of the head of the waiting line. */
export interface ShownView {
  readonly view: SchedulerView;
  /** The waiting sequences whose cached prefix was looked up, as the view shows them. */
  readonly lookedUp: ReadonlyMap<SequenceId, WaitingView>;
  /** The waiting sequences that the view leaves out. */
  readonly deferred: ReadonlySet<SequenceId>;
}

/** What a policy sees of a batcher. Every number in it is a copy. */
export function schedulerView(sources: ViewSources): ShownView {
  const { nowMs, running, pages, limits, maxNumSeqs, stepCost } = sources;
  const { lookedUp, deferred } = lookUpHead(sources);
  const view: SchedulerView = {
    nowMs,
    waiting: waitingViews(sources.waiting, lookedUp, deferred),
    running: running.map((sequence) => runningView(sequence, pages.freedBy(sequence))),
    kvPagesFree: pages.freeCount,
    kvPageSize: limits.kvPageSize,
    microBatchCount: limits.pace.microBatchCount,
    maxNumBatchedTokens: limits.maxNumBatchedTokens,
    maxNumSeqs,
    prefillChunkTokensMax: limits.prefillChunkTokensMax,
    ...(stepCost === undefined ? {} : { stepCost }),
  };
  return { view, lookedUp, deferred };
}

/**
 * Looks up the cached prefix of the first waiting sequences, as many as there are places to start
 * in. A sequence is deferred where another one is about to compute the page that it needs next: it
 * comes a step later, and finds that page.
 */
function lookUpHead({ waiting, running, pages, maxNumSeqs }: ViewSources): {
  lookedUp: Map<SequenceId, WaitingView>;
  deferred: Set<SequenceId>;
} {
  const lookedUp = new Map<SequenceId, WaitingView>();
  const deferred = new Set<SequenceId>();
  let places = maxNumSeqs - running.length;
  if (!pages.sharing || places < 1 || waiting.size === 0) return { lookedUp, deferred };
  const computing = pagesBeingComputed(running, pages);
  for (const { history } of waiting) {
    if (places < 1 || lookedUp.size === lookedUpMax) break;
    const { id } = history.request;
    const prefix = pages.find(history);
    lookedUp.set(id, waitingView(history, prefix));
    const next = pages.nextPageKey(history, prefix.nodes.at(-1), prefix.nodes.length);
    if (next !== undefined && computing.has(next)) {
      deferred.add(id);
      continue;
    }
    if (next !== undefined) computing.add(next);
    places -= 1;
  }
  return { lookedUp, deferred };
}

/** The keys of the pages that running sequences compute next. */
function pagesBeingComputed(running: readonly RunningSequence[], pages: KvCache): Set<string> {
  const keys = new Set<string>();
  for (const { published, history, tokensLeft } of running) {
    if (published === undefined || tokensLeft === 1) continue;
    const key = pages.nextPageKey(history, published.node, published.pages);
    if (key !== undefined) keys.add(key);
  }
  return keys;
}

/** The sequences that were looked up stand at the head of the line. */
function waitingViews(
  waiting: WaitingLine,
  lookedUp: ReadonlyMap<SequenceId, WaitingView>,
  deferred: ReadonlySet<SequenceId>,
): readonly WaitingView[] {
  const views = waiting.views();
  if (lookedUp.size === 0) return views;
  const head = [...lookedUp.values()].filter(({ id }) => !deferred.has(id));
  return head.concat(views.slice(lookedUp.size));
}
