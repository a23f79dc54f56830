import type { RunningView, WaitingView } from '@megascale/core';
import type { RunningSequence } from './running-sequence.js';
import { outputTokenCount, type TokenHistory } from './token-history.js';

/** The first tokens of a waiting sequence that others have computed. */
export interface FoundPrefix {
  readonly tokens: number;
  /** Of the pages that hold them, those that running sequences hold too. */
  readonly heldPages: number;
}

/**
 * What policies see of a waiting sequence. A view without a prefix is shown in many steps, so it is
 * frozen.
 */
export function waitingView(
  history: TokenHistory,
  prefix: FoundPrefix = { tokens: 0, heldPages: 0 },
): WaitingView {
  const { request } = history;
  return Object.freeze({
    id: request.id,
    arrivedAtMs: request.arrivedAtMs,
    priority: request.priority ?? 0,
    tenant: request.tenant,
    ttftTargetMs: request.ttftTargetMs,
    tpotTargetMs: request.tpotTargetMs,
    outputTokens: outputTokenCount(history),
    firstTokenAtMs: history.firstTokenAtMs,
    lastTokenAtMs: history.lastTokenAtMs,
    preemptions: history.preemptions,
    contextTokens: prefix.tokens,
    kvPages: prefix.heldPages,
    tokensLeft: history.tokens.length - prefix.tokens,
  });
}

/** What policies see of a running sequence: made anew for each view. */
export function runningView(sequence: RunningSequence, kvPagesFreed: number): RunningView {
  const { history, contextTokens, kvPages } = sequence;
  const { request } = history;
  return {
    id: request.id,
    arrivedAtMs: request.arrivedAtMs,
    priority: request.priority ?? 0,
    tenant: request.tenant,
    ttftTargetMs: request.ttftTargetMs,
    tpotTargetMs: request.tpotTargetMs,
    outputTokens: outputTokenCount(history),
    firstTokenAtMs: history.firstTokenAtMs,
    lastTokenAtMs: history.lastTokenAtMs,
    preemptions: history.preemptions,
    contextTokens,
    kvPages,
    kvPagesFreed,
    tokensLeft: sequence.knownTokens - contextTokens,
  };
}
