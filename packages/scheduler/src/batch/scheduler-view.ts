import type { SchedulerView, StepCost, WaitingView } from '@megascale/core';
import type { BatcherLimits } from './batcher-options.js';
import type { KvCache } from '../kv/kv-cache.js';
import type { RunningPart } from '../sequence/running-list.js';
import type { RunningSequence } from '../sequence/running-sequence.js';
import { tokensLeft, type WaitingSequence } from '../sequence/sequence.js';
import type { WaitingLine } from '../sequence/waiting-line.js';

/** Waiting sequences, from the head of the line, whose cached prefix is looked up for a step. */
const lookedUpMax = 256;

export interface ViewSources {
  readonly waiting: WaitingLine;
  /** Those that can be in the next step. */
  readonly running: RunningPart;
  readonly pages: KvCache;
  readonly limits: BatcherLimits;
  /** Sequences that may run at once, this time. */
  readonly maxNumSeqs: number;
  readonly stepCost: StepCost | undefined;
  /** Kept by the caller from one view to the next: those whose prefix was looked up. */
  readonly lookedUp: WaitingSequence[];
}

/** What a policy sees of a batcher. */
export function schedulerView(nowMs: number, sources: ViewSources): SchedulerView {
  const { pages, limits, maxNumSeqs, stepCost } = sources;
  const view: SchedulerView = {
    nowMs,
    waiting: waitingViews(sources),
    running: sources.running.views,
    kvPagesFree: pages.freeCount,
    kvPageSize: limits.kvPageSize,
    microBatchCount: limits.pace.microBatchCount,
    maxNumBatchedTokens: limits.maxNumBatchedTokens,
    maxNumSeqs,
    prefillChunkTokensMax: limits.prefillChunkTokensMax,
  };
  return stepCost === undefined ? view : { ...view, stepCost };
}

/**
 * Those that wait. While there are places to start in, the first of them with the prefix they would find; and without those that would compute what another
 * is about to compute: they come a step later and find it.
 */
function waitingViews(sources: ViewSources): WaitingView[] {
  const { waiting, pages, maxNumSeqs, lookedUp } = sources;
  const running = sources.running.sequences;
  for (const { history } of lookedUp) history.view.find(history, 0, 0);
  lookedUp.length = 0;
  const views = waiting.views();
  let places = maxNumSeqs - running.length;
  if (!pages.sharing || places < 1 || views.length === 0) return views;
  const computing = pagesBeingComputed(running, pages);
  for (const sequence of waiting) {
    if (places < 1 || lookedUp.length === lookedUpMax) break;
    lookedUp.push(sequence);
    const { history } = sequence;
    const { nodes, tokens, heldPages } = pages.find(history);
    history.view.find(history, tokens, heldPages);
    const next = pages.nextPageKey(history, nodes.at(-1)?.page, nodes.length);
    history.view.heldBack = next !== undefined && computing.has(next);
    if (next !== undefined) computing.add(next);
    if (!history.view.heldBack) places -= 1;
  }
  const head = views.slice(0, lookedUp.length).filter(({ heldBack }) => !heldBack);
  return head.length === lookedUp.length ? views : head.concat(views.slice(lookedUp.length));
}

function pagesBeingComputed(running: readonly RunningSequence[], pages: KvCache): Set<string> {
  const keys = new Set<string>();
  for (const sequence of running) {
    if (sequence.sharedUpTo === undefined || tokensLeft(sequence) === 1) continue;
    const { sharedPages, history, sharedUpTo } = sequence;
    const key = pages.nextPageKey(history, sharedUpTo.page, sharedPages);
    if (key !== undefined) keys.add(key);
  }
  return keys;
}
