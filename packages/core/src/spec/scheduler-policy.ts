import type { SequenceId } from './units.js';

/**
 * Plans each step of one attention worker. A policy is pure: the same view gives the same plan,
 * without I/O, clock or randomness. The scheduler checks every plan; a plan that breaks a rule
 * throws PolicyError 'ERR_PLAN_INVALID', which names the rule.
 */
export interface SchedulerPolicy {
  readonly specVersion: 1;
  readonly name: string;
  plan(view: SchedulerView): StepPlan;
}

export interface SchedulerView {
  /** Monotonic milliseconds; the only time a policy may use. */
  readonly nowMs: number;
  /**
   * Sequences that wait, in arrival order, preempted ones first. They hold no KV pages. A sequence
   * whose first tokens another one is computing is left out until that one has computed them.
   */
  readonly waiting: readonly WaitingView[];
  /** Sequences that run, in the order in which they started. */
  readonly running: readonly RunningView[];
  /** KV pages that no sequence holds, including those that cache a prefix of ended sequences. */
  readonly kvPagesFree: number;
  readonly kvPageSize: number;
  readonly microBatchCount: number;
  /** Most prefill and decode tokens of one step, over all its micro-batches. */
  readonly maxNumBatchedTokens: number;
  /** Most sequences that run at once. */
  readonly maxNumSeqs: number;
  /** Most prompt tokens of one sequence in one step. */
  readonly prefillChunkTokensMax: number;
  /** Expected duration of a step; absent until enough steps were measured. */
  readonly stepCost?: StepCost;
}

/** Microseconds = fixedUs + tokenUs · tokens + contextTokenUs · (keys that those tokens see). */
export interface StepCost {
  readonly fixedUs: number;
  readonly tokenUs: number;
  readonly contextTokenUs: number;
}

/**
 * What a policy knows of a sequence, waiting or running. The scheduler may reuse the object for the
 * next view, so a policy copies what it keeps.
 */
export interface ServiceView {
  readonly id: SequenceId;
  readonly arrivedAtMs: number;
  /** Higher is served sooner; 0 unless the request says more. */
  readonly priority: number;
  /** The tenant that sent the request. */
  readonly tenant?: string | undefined;
  /** Output tokens so far. */
  readonly outputTokens: number;
  readonly firstTokenAtMs?: number | undefined;
  readonly lastTokenAtMs?: number | undefined;
  /** Wanted milliseconds from arrival to the first token, and from one token to the next. */
  readonly ttftTargetMs?: number | undefined;
  readonly tpotTargetMs?: number | undefined;
  /** How often the sequence was preempted. */
  readonly preemptions: number;
  /**
   * Tokens whose keys and values are in KV pages; for a waiting sequence the prefix cache hit that
   * it takes over when it starts. Computing t more tokens takes at most ⌈(contextTokens + t) /
   * kvPageSize⌉ − kvPages free pages. In a plan that preempts a sequence, a waiting sequence takes
   * at most ⌈(contextTokens + t) / kvPageSize⌉, because its prefix may lie in the freed pages.
   */
  readonly contextTokens: number;
  /**
   * KV pages that the sequence holds; for a waiting sequence those that it will share with running
   * ones, which takes no free page.
   */
  readonly kvPages: number;
  /**
   * Tokens known but not computed yet. A running sequence has 1 while it decodes and more during
   * prefill. A waiting sequence has those before its next sampled token: the prompt, and the output
   * so far if it was preempted.
   */
  readonly tokensLeft: number;
}

export type WaitingView = ServiceView;

export interface RunningView extends ServiceView {
  /** Least KV pages that preempting the sequence frees: pages that it shares stay in use. */
  readonly kvPagesFreed: number;
}

export interface StepPlan {
  /**
   * Tokens to compute per sequence, 1 ≤ tokens ≤ tokensLeft, each id at most once. A waiting
   * sequence in this list starts to run.
   */
  readonly run: readonly { readonly id: SequenceId; readonly tokens: number }[];
  /**
   * Running sequences to preempt. The scheduler frees their KV pages before `run` takes pages, and
   * puts them at the head of `waiting`. After a plan that only preempts, the scheduler asks for
   * another plan at once, because together the sequences may free more than the sum of their
   * `kvPagesFreed`.
   */
  readonly preempt: readonly SequenceId[];
}
