import { ConfigError, type PolicyError, type SchedulerPolicy } from '@megascale/core';
import type { StepPace } from './step-pace.js';

export interface BatcherOptions {
  readonly policy: SchedulerPolicy;
  /** Plans the steps that `policy` fails to plan. Absent: its errors are thrown. */
  readonly fallbackPolicy?: SchedulerPolicy;
  /** Told of every step that the fallback planned. */
  readonly onPolicyError?: (error: PolicyError) => void;
  readonly kvPageCount: number;
  /** Tokens per KV page. */
  readonly kvPageSize: number;
  /** Sequences that begin with the same tokens share the pages of them. Default true. */
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

/** The options with nothing left open. */
export interface BatcherLimits
  extends
    Required<Omit<BatcherOptions, 'fallbackPolicy' | 'onPolicyError'>>,
    Pick<BatcherOptions, 'fallbackPolicy' | 'onPolicyError'> {
  /** Tokens one sequence may reach on this worker: positionsMax, or the whole KV pool where that is smaller. */
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
