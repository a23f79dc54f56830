import type { SequenceId } from './units.js';

/**
 * Decides one step of one attention worker. Pure: the same view gives the same plan. No I/O, no clock, no
 * randomness. The scheduler checks every plan; a bad one throws PolicyError 'ERR_PLAN_INVALID' naming the rule.
 */
export interface SchedulerPolicy {
  readonly specVersion: 1;
  readonly name: string;
  plan(view: SchedulerView): StepPlan;
}

export interface SchedulerView {
  /** Monotonic milliseconds; the only time a policy may use. */
  readonly nowMs: number;
  /** In arrival order, preempted sequences first. They hold no pages. */
  readonly waiting: readonly WaitingView[];
  /** In the order in which they started. */
  readonly running: readonly RunningView[];
  readonly kvPagesFree: number;
  readonly kvPageSize: number;
  readonly microBatchCount: number;
  /** Tokens of one step, over its micro-batches: prefill tokens and decode tokens together. */
  readonly tokensPerStepMax: number;
  /** Sequences that may run at once. */
  readonly runningMax: number;
  /** Prompt tokens of one sequence computed in one step at most. */
  readonly prefillChunkTokensMax: number;
}

export interface WaitingView {
  readonly id: SequenceId;
  readonly arrivedAtMs: number;
  /** Tokens to compute before the next one can be sampled (prompt, and output so far if it was preempted). */
  readonly tokensLeft: number;
}

export interface RunningView {
  readonly id: SequenceId;
  /** Tokens whose keys and values are in pages. */
  readonly contextTokens: number;
  /** Tokens known but not computed yet: 1 while decoding, more during prefill. */
  readonly tokensLeft: number;
  readonly kvPages: number;
}

export interface StepPlan {
  /** Tokens to compute per sequence, 1 ≤ tokens ≤ tokensLeft, each id at most once. A waiting sequence named here starts running. */
  readonly run: readonly { readonly id: SequenceId; readonly tokens: number }[];
  /** Running sequences that give up their pages and return to the head of `waiting`; freed before `run` takes pages. */
  readonly preempt: readonly SequenceId[];
}
