import type { SamplingOptions, SequenceId } from '@megascale/core';
import { RunningSequence } from './running-sequence.js';
import { Seats } from './seats.js';
import { GrowingHistory } from './token-history.js';

/**
 * Why a sequence ended. 'stop': end-of-sequence token, or a stop text that the caller found. 'length': maxTokens. 'abort':
 * the client left. 'error': the engine could not go on.
 */
export type FinishReason = 'stop' | 'length' | 'abort' | 'error';

/** What the engine asks of the scheduler for one sequence. */
export interface SequenceRequest {
  readonly id: SequenceId;
  /** At least one. */
  readonly promptTokens: ArrayLike<number>;
  /** Output tokens the client already has, of a sequence whose worker was lost: computed again, never emitted again. */
  readonly outputTokens?: ArrayLike<number>;
  /** Output tokens at most, `outputTokens` included; at least 1. */
  readonly maxTokens: number;
  readonly eosTokenIds: readonly number[];
  /** Go on past end-of-sequence tokens. */
  readonly ignoreEos: boolean;
  /** On the clock that also gives `planStep` its time. */
  readonly arrivedAtMs: number;
  /** Carried for the sampler; nothing here reads it. */
  readonly sampling: SamplingOptions;
  /** Ask for the logits of every prompt token as well, for log-probabilities of the prompt. Default false. */
  readonly promptLogits?: boolean;
  /** Higher is served sooner. Whole; default 0. */
  readonly priority?: number;
  /** Whose request it is, where several share the worker fairly. */
  readonly tenant?: string;
  /** Time to the first token that is wanted, in milliseconds from arrival. */
  readonly ttftTargetMs?: number;
  /** Time from one token to the next that is wanted, in milliseconds. */
  readonly tpotTargetMs?: number;
}

/** What stays with a sequence through all its states. */
export interface TokenHistory {
  readonly request: SequenceRequest;
  readonly promptTokenCount: number;
  /** Every token known so far: the prompt, then the output. Only grows. */
  readonly tokens: readonly number[];
  /** Prompt tokens whose logits were delivered: a preempted sequence does not deliver them twice. */
  readonly promptLogitsDelivered: number;
  /** Prompt tokens that were found computed when it first started. */
  readonly cachedPromptTokens: number;
  /** When its first and its newest output token were known, by the clock of `planStep`; undefined before. */
  readonly firstTokenAtMs: number | undefined;
  readonly lastTokenAtMs: number | undefined;
  readonly preemptions: number;
  /** Place in the order of admission; ties of arrival time are told apart by it. */
  readonly admissionNumber: number;
}

/** Holds no pages; all its tokens are to be computed. */
export interface WaitingSequence {
  readonly state: 'waiting';
  readonly history: GrowingHistory;
}

export interface FinishedSequence {
  readonly state: 'finished';
  readonly history: TokenHistory;
  readonly reason: FinishReason;
}

/** A sequence that a batcher still has. */
export type LiveSequence = WaitingSequence | RunningSequence;
export type Sequence = LiveSequence | FinishedSequence;

/** The legal transitions. Preemption is the one way back: pages are given up and every token is computed again. */
export const sequenceTransitions = {
  waiting: ['running', 'finished'],
  running: ['waiting', 'finished'],
  finished: [],
} as const satisfies Record<Sequence['state'], readonly Sequence['state'][]>;

export function admitSequence(request: SequenceRequest, admissionNumber: number): WaitingSequence {
  return { state: 'waiting', history: new GrowingHistory(request, admissionNumber) };
}

/** It takes one of the seats; by default its own. */
export function startSequence(sequence: WaitingSequence, seats = new Seats()): RunningSequence {
  expectTransition(sequence, 'running');
  return new RunningSequence(sequence.history, seats);
}

/** The caller gives the pages back first. */
export function preemptSequence(sequence: RunningSequence): WaitingSequence {
  expectTransition(sequence, 'waiting');
  sequence.history.preemptions += 1;
  sequence.leave();
  return { state: 'waiting', history: sequence.history };
}

/** The caller gives the pages back first. */
export function finishSequence(sequence: LiveSequence, reason: FinishReason): FinishedSequence {
  expectTransition(sequence, 'finished');
  if (sequence.state === 'running') sequence.leave();
  return { state: 'finished', history: sequence.history, reason };
}

/** Tokens to compute before the next one can be sampled; a token that is being sampled now counts already. */
export function tokensLeft(sequence: LiveSequence): number {
  if (sequence.state === 'waiting') return sequence.history.tokens.length;
  return sequence.knownTokens - sequence.computedTokens;
}

export function outputTokenCount(history: TokenHistory): number {
  return history.tokens.length - history.promptTokenCount;
}

function expectTransition(sequence: Sequence, next: Sequence['state']): void {
  const allowed: readonly Sequence['state'][] = sequenceTransitions[sequence.state];
  if (allowed.includes(next)) return;
  const { id } = sequence.history.request;
  throw new TypeError(`Sequence ${id} is ${sequence.state} and cannot become ${next}.`);
}
