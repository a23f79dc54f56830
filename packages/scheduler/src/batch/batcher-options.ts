import { ConfigError, type PolicyError, type SchedulerPolicy } from '@megascale/core';
import type { StepPace } from '../micro-batches/split-micro-batches.js';

/** What a batcher is made with. */
export interface BatcherOptions {
  readonly policy: SchedulerPolicy;
  /** Plans the steps that `policy` fails to plan. Absent: the errors of `policy` are thrown. */
  readonly fallbackPolicy?: SchedulerPolicy;
  /** Called for every step that the fallback plans. */
  readonly onPolicyError?: (error: PolicyError) => void;
  readonly kvPageCount: number;
  /** Tokens per KV page. */
  readonly kvPageSize: number;
  /** Whether sequences that begin with the same tokens share the pages of them. Default true. */
  readonly prefixSharing?: boolean;
  /** Micro-batches of one step at most (m). */
  readonly microBatchCount: number;
  readonly tokensPerMicroBatchMax: number;
  /** Tokens of one step. Default, and at most, microBatchCount × tokensPerMicroBatchMax. */
  readonly maxNumBatchedTokens?: number;
  /** Tokens of one sequence in one step. */
  readonly prefillChunkTokensMax: number;
  /** Sequences that may run at once. */
  readonly maxNumSeqs: number;
  /** Newcomers that may wait; preempted and resumed sequences wait besides. */
  readonly maxQueuedRequests: number;
  /** Tokens a sequence may reach, prompt and output together, by the model. */
  readonly positionsMax: number;
}

/** The state of a batcher in numbers; totals are since it was made. */
export interface BatcherCounts {
  readonly waiting: number;
  readonly running: number;
  readonly kvPagesTotal: number;
  /** Pages that no sequence holds, published ones included. */
  readonly kvPagesFree: number;
  /** Pages whose contents a starting sequence may take over, held or not. */
  readonly kvPagesCached: number;
  readonly preemptionsTotal: number;
  /** Completed steps. */
  readonly stepsTotal: number;
  /** Of sequences that emitted a token: each prompt once, however often it was computed. */
  readonly promptTokensTotal: number;
  /** Of those, tokens in pages that other sequences had computed. */
  readonly cachedPromptTokensTotal: number;
  /** Tokens that steps computed: of prompts, of output, and again after a preemption. */
  readonly computedTokensTotal: number;
  readonly outputTokensTotal: number;
  /** Still to compute if every sequence runs to its maxTokens: the load that admission compares. */
  readonly outstandingTokens: number;
}

/** The options with every default filled in. */
export interface BatcherLimits
  extends
    Required<Omit<BatcherOptions, 'fallbackPolicy' | 'onPolicyError'>>,
    Pick<BatcherOptions, 'fallbackPolicy' | 'onPolicyError'> {
  /**
   * Tokens one sequence may reach on this worker: positionsMax, or the whole KV pool where that is
   * smaller.
   */
  readonly sequenceTokensMax: number;
  /** The one field that changes. */
  pace: StepPace;
}

/** Throws ConfigError 'ERR_CONFIG_FIELD' naming the option. */
export function resolveBatcherOptions(options: BatcherOptions): BatcherLimits {
  const tokensMax = options.microBatchCount * options.tokensPerMicroBatchMax;
  const limits: BatcherLimits = {
    ...options,
    prefixSharing: options.prefixSharing ?? true,
    maxNumBatchedTokens: Math.min(options.maxNumBatchedTokens ?? tokensMax, tokensMax),
    pace: { microBatchCount: options.microBatchCount },
    sequenceTokensMax: Math.min(options.positionsMax, options.kvPageCount * options.kvPageSize),
  };
  for (const [field, value] of Object.entries(limits) as [string, unknown][]) {
    if (!notCounts.has(field)) expectCount(field, value);
  }
  return limits;
}

const notCounts = new Set(['policy', 'fallbackPolicy', 'onPolicyError', 'prefixSharing', 'pace']);

function expectCount(field: string, value: unknown): void {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1) return;
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `Batcher option ${field} is ${String(value)}; give a whole number of at least 1.`,
    details: { field, found: value, expected: 'integer ≥ 1' },
  });
}

/**
 * Throws RangeError when there are no slots for so many micro-batches, or a step would not fit in
 * so few.
 */
export function checkPace({ microBatchCount: count }: StepPace, limits: BatcherLimits): void {
  const { microBatchCount, tokensPerMicroBatchMax, maxNumBatchedTokens } = limits;
  if (count <= microBatchCount && count * tokensPerMicroBatchMax >= maxNumBatchedTokens) return;
  throw new RangeError(
    `Steps of ${maxNumBatchedTokens} tokens cannot have ${count} micro-batches: there are ` +
      `${microBatchCount} slots for ${tokensPerMicroBatchMax} tokens each.`,
  );
}
