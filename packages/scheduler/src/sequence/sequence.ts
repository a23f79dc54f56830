import type { WaitingView } from '@megascale/core';
import { RunningSequence } from './running-sequence.js';
import { RunningTable } from './running-table.js';
import type { FinishReason, SequenceRequest } from './sequence-request.js';
import { waitingView } from './sequence-views.js';
import { GrowingHistory, type TokenHistory } from './token-history.js';

/** A sequence that holds no pages; all its tokens are to be computed. */
export interface WaitingSequence {
  readonly state: 'waiting';
  readonly history: GrowingHistory;
  /** What policies see of it while nothing of it is found computed. */
  readonly view: WaitingView;
}

/** A sequence that has ended, and why. */
export interface FinishedSequence {
  readonly state: 'finished';
  readonly history: TokenHistory;
  readonly reason: FinishReason;
}

/** A sequence that a batcher still has. */
export type LiveSequence = WaitingSequence | RunningSequence;
export type Sequence = LiveSequence | FinishedSequence;

/**
 * The legal transitions. Preemption is the one way back: the sequence gives up its pages, and every
 * token is computed again.
 */
export const sequenceTransitions = {
  waiting: ['running', 'finished'],
  running: ['waiting', 'finished'],
  finished: [],
} as const satisfies Record<Sequence['state'], readonly Sequence['state'][]>;

export function admitSequence(request: SequenceRequest, admissionNumber: number): WaitingSequence {
  return waitingSequence(new GrowingHistory(request, admissionNumber));
}

/** The sequence takes a batch slot of the table; by default of one of its own. */
export function startSequence(
  sequence: WaitingSequence,
  table = new RunningTable(),
): RunningSequence {
  expectTransition(sequence, 'running');
  return new RunningSequence(sequence.history, table);
}

/** The caller frees the pages first. */
export function preemptSequence(sequence: RunningSequence): WaitingSequence {
  expectTransition(sequence, 'waiting');
  sequence.history.preemptions += 1;
  sequence.leave();
  return waitingSequence(sequence.history);
}

/** The caller frees the pages first. */
export function finishSequence(sequence: LiveSequence, reason: FinishReason): FinishedSequence {
  expectTransition(sequence, 'finished');
  if (sequence.state === 'running') sequence.leave();
  return { state: 'finished', history: sequence.history, reason };
}

/** Tokens to compute before the next one can be sampled; a pending token counts already. */
export function tokensLeft(sequence: LiveSequence): number {
  return sequence.state === 'waiting' ? sequence.history.tokens.length : sequence.tokensLeft;
}

function waitingSequence(history: GrowingHistory): WaitingSequence {
  return { state: 'waiting', history, view: waitingView(history) };
}

function expectTransition(sequence: Sequence, next: Sequence['state']): void {
  const allowed: readonly Sequence['state'][] = sequenceTransitions[sequence.state];
  if (allowed.includes(next)) return;
  const { id } = sequence.history.request;
  throw new TypeError(`Sequence ${id} is ${sequence.state} and cannot become ${next}.`);
}
