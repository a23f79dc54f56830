import type { SchedulerView } from '@megascale/core';
import type { BatcherLimits } from './batcher-options.js';
import { tokensLeft, type RunningSequence, type WaitingSequence } from './sequence.js';

/** What a policy sees of a batcher: copies, so that nothing it does can reach the sequences. */
export function schedulerView(
  nowMs: number,
  waiting: Iterable<WaitingSequence>,
  running: Iterable<RunningSequence>,
  kvPagesFree: number,
  limits: BatcherLimits,
): SchedulerView {
  return {
    nowMs,
    waiting: Array.from(waiting, (sequence) => ({
      id: sequence.history.request.id,
      arrivedAtMs: sequence.history.request.arrivedAtMs,
      tokensLeft: tokensLeft(sequence),
    })),
    running: Array.from(running, (sequence) => ({
      id: sequence.history.request.id,
      contextTokens: sequence.computedTokens,
      tokensLeft: tokensLeft(sequence),
      kvPages: sequence.kvPages.length,
    })),
    kvPagesFree,
    kvPageSize: limits.kvPageSize,
    microBatchCount: limits.microBatchCount,
    tokensPerStepMax: limits.tokensPerStepMax,
    runningMax: limits.runningMax,
    prefillChunkTokensMax: limits.prefillChunkTokensMax,
  };
}
