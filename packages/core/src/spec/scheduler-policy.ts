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
  /** In arrival order, preempted sequences first. They hold no pages. One whose first tokens another is computing now is left out until it has. */
  readonly waiting: readonly WaitingView[];
  /** In the order in which they started. */
  readonly running: readonly RunningView[];
  /** Pages without a holder, those that still keep a prefix of ended sequences included. */
  readonly kvPagesFree: number;
  readonly kvPageSize: number;
  readonly microBatchCount: number;
  /** Tokens of one step, over its micro-batches: prefill tokens and decode tokens together. */
  readonly maxNumBatchedTokens: number;
  /** Sequences that may run at once. */
  readonly maxNumSeqs: number;
  /** Prompt tokens of one sequence computed in one step at most. */
  readonly prefillChunkTokensMax: number;
  /** What a step is expected to take; absent until enough was measured. */
  readonly stepCost?: StepCost;
}

/** Microseconds = fixedUs + tokenUs · tokens + contextTokenUs · (keys that those tokens see). */
export interface StepCost {
  readonly fixedUs: number;
  readonly tokenUs: number;
  readonly contextTokenUs: number;
}

/** What a sequence is to be served by, waiting or running. The object may be reused for the next view: take from it what is to be kept. */
export interface ServiceView {
  readonly id: SequenceId;
  readonly arrivedAtMs: number;
  /** Higher is served sooner; 0 unless the request says more. */
  readonly priority: number;
  /** Whose request it is. */
  readonly tenant?: string | undefined;
  /** Output tokens so far. */
  readonly outputTokens: number;
  readonly firstTokenAtMs?: number | undefined;
  readonly lastTokenAtMs?: number | undefined;
  /** Wanted from arrival to the first token, and from one token to the next. */
  readonly ttftTargetMs?: number | undefined;
  readonly tpotTargetMs?: number | undefined;
  /** How often it gave up its pages. */
  readonly preemptions: number;
  /**
   * Tokens whose keys and values are in pages. Of a waiting sequence: those of its first tokens that others have computed, which it takes over when
   * it starts. Computing t more takes ⌈(contextTokens + t) / kvPageSize⌉ − kvPages of the free pages, at most; of a waiting sequence, in a plan that preempts
   * anybody, without − kvPages: it may be their pages.
   */
  readonly contextTokens: number;
  /** Pages it holds; of a waiting sequence, those it will share with running ones, which costs none. */
  readonly kvPages: number;
  /**
   * Tokens known but not computed yet. Running: 1 while decoding, more during prefill. Waiting: before the next one can be sampled (prompt, and output
   * so far if it was preempted).
   */
  readonly tokensLeft: number;
}

export type WaitingView = ServiceView;

export interface RunningView extends ServiceView {
  /** Pages that come free if it is preempted, at least: those it shares with others do not. */
  readonly kvPagesFreed: number;
}

export interface StepPlan {
  /** Tokens to compute per sequence, 1 ≤ tokens ≤ tokensLeft, each id at most once. A waiting sequence named here starts running. */
  readonly run: readonly { readonly id: SequenceId; readonly tokens: number }[];
  /**
   * Running sequences that give up their pages and return to the head of `waiting`; freed before `run` takes pages. A plan that only preempts some is
   * followed by another one at once: together they may free more than each one's `kvPagesFreed`.
   */
  readonly preempt: readonly SequenceId[];
}
