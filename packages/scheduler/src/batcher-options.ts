import { ConfigError, type SchedulerPolicy } from '@megascale/core';

export interface BatcherOptions {
  readonly policy: SchedulerPolicy;
  readonly kvPageCount: number;
  /** Tokens per KV page. */
  readonly kvPageSize: number;
  /** Micro-batches of one step at most (m). */
  readonly microBatchCount: number;
  readonly tokensPerMicroBatchMax: number;
  /** Tokens of one step. Default, and at most, microBatchCount × tokensPerMicroBatchMax. */
  readonly tokensPerStepMax?: number;
  /** Tokens of one sequence in one step. */
  readonly prefillChunkTokensMax: number;
  /** Sequences that may run at once. */
  readonly runningMax: number;
  /** Newcomers that may wait; preempted and resumed sequences wait besides. */
  readonly waitingMax: number;
  /** Tokens a sequence may reach, prompt and output together, by the model. */
  readonly positionsMax: number;
}

/** The options with nothing left open. */
export interface BatcherLimits extends Required<BatcherOptions> {
  /** Tokens one sequence may reach on this worker: positionsMax, or the whole KV pool where that is smaller. */
  readonly sequenceTokensMax: number;
}

/** Throws ConfigError 'ERR_CONFIG_FIELD' naming the option. */
export function resolveBatcherOptions(options: BatcherOptions): BatcherLimits {
  const tokensMax = options.microBatchCount * options.tokensPerMicroBatchMax;
  const limits: BatcherLimits = {
    ...options,
    tokensPerStepMax: Math.min(options.tokensPerStepMax ?? tokensMax, tokensMax),
    sequenceTokensMax: Math.min(options.positionsMax, options.kvPageCount * options.kvPageSize),
  };
  for (const [field, value] of Object.entries(limits) as [string, unknown][]) {
    if (field !== 'policy') expectCount(field, value);
  }
  return limits;
}

function expectCount(field: string, value: unknown): void {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1) return;
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `Batcher option ${field} is ${String(value)}; give a whole number of at least 1.`,
    details: { field, found: value, expected: 'integer ≥ 1' },
  });
}
