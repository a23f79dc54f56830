import type { SamplingOptions, SequenceId } from '@megascale/core';
import { PageTable } from './kv/page-table.js';
import type { PrefixNode } from './kv/prefix-tree.js';
import { SequenceView } from './sequence-view.js';

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

/** The same, to write; only the batcher does. */
export interface GrowingHistory extends TokenHistory {
  readonly tokens: number[];
  readonly view: SequenceView;
  /** It has finished, for whatever reason. */
  ended: boolean;
  promptLogitsDelivered: number;
  cachedPromptTokens: number;
  firstTokenAtMs: number | undefined;
  lastTokenAtMs: number | undefined;
  preemptions: number;
}

/** Holds no pages; all its tokens are to be computed. */
export interface WaitingSequence {
  readonly state: 'waiting';
  readonly history: GrowingHistory;
}

export interface RunningSequence {
  readonly state: 'running';
  readonly history: GrowingHistory;
  /** The page table, in position order; room for at least `computedTokens`. The batcher grows it. */
  readonly kvPages: PageTable;
  /** Tokens whose keys and values are in the pages: positions 0 … computedTokens − 1. The batcher advances it. */
  computedTokens: number;
  /** Down to where its pages are offered to others; undefined where they are not. */
  sharedUpTo: PrefixNode | undefined;
  /** Pages that are offered. */
  sharedPages: number;
  /** The micro-batch of the step in flight that has yet to sample its next token; the following step may be planned before it does. */
  awaitsMicroBatch: number | undefined;
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
  const tokens = Array.from(request.promptTokens).concat(Array.from(request.outputTokens ?? []));
  const promptTokenCount = request.promptTokens.length;
  return {
    state: 'waiting',
    history: {
      ...{ request, promptTokenCount, tokens, admissionNumber, view: new SequenceView(request) },
      ...{ ended: false, promptLogitsDelivered: 0, cachedPromptTokens: 0, preemptions: 0 },
      ...{ firstTokenAtMs: undefined, lastTokenAtMs: undefined },
    },
  };
}

export function startSequence(sequence: WaitingSequence): RunningSequence {
  expectTransition(sequence, 'running');
  return {
    state: 'running',
    history: sequence.history,
    kvPages: new PageTable(),
    computedTokens: 0,
    sharedUpTo: undefined,
    sharedPages: 0,
    awaitsMicroBatch: undefined,
  };
}

/** The caller gives the pages back first. */
export function preemptSequence(sequence: RunningSequence): WaitingSequence {
  expectTransition(sequence, 'waiting');
  sequence.history.preemptions += 1;
  return { state: 'waiting', history: sequence.history };
}

/** The caller gives the pages back first. */
export function finishSequence(sequence: LiveSequence, reason: FinishReason): FinishedSequence {
  expectTransition(sequence, 'finished');
  return { state: 'finished', history: sequence.history, reason };
}

/** Tokens to compute before the next one can be sampled; a token that is being sampled now counts already. */
export function tokensLeft(sequence: LiveSequence): number {
  const computed = sequence.state === 'running' ? sequence.computedTokens : 0;
  return knownTokenCount(sequence) - computed;
}

/** Tokens known so far, and the one that is being sampled now. */
export function knownTokenCount(sequence: LiveSequence): number {
  const awaited = sequence.state === 'running' && sequence.awaitsMicroBatch !== undefined;
  return sequence.history.tokens.length + (awaited ? 1 : 0);
}

/** Whether the token that is being sampled now is its last one, whatever it will be. */
export function endsWithAwaitedToken(sequence: RunningSequence): boolean {
  const { history, awaitsMicroBatch } = sequence;
  return (
    awaitsMicroBatch !== undefined && outputTokenCount(history) + 1 >= history.request.maxTokens
  );
}

export function outputTokenCount(history: TokenHistory): number {
  return history.tokens.length - history.promptTokenCount;
}

/** The reason to end after the newest token, if it gives one. */
export function finishReasonOf(history: TokenHistory): 'stop' | 'length' | undefined {
  const { eosTokenIds, ignoreEos, maxTokens } = history.request;
  const { tokens, promptTokenCount } = history;
  const newest = tokens[tokens.length - 1];
  if (!ignoreEos && newest !== undefined && eosTokenIds.includes(newest)) return 'stop';
  return tokens.length - promptTokenCount >= maxTokens ? 'length' : undefined;
}

function expectTransition(sequence: Sequence, next: Sequence['state']): void {
  const allowed: readonly Sequence['state'][] = sequenceTransitions[sequence.state];
  if (allowed.includes(next)) return;
  const { id } = sequence.history.request;
  throw new TypeError(`Sequence ${id} is ${sequence.state} and cannot become ${next}.`);
}
