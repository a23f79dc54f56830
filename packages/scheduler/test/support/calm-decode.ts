import { sequenceId, type SchedulerPolicy } from '@megascale/core';
import { Batcher, fcfs, type SequenceRequest } from '@megascale/scheduler';

/**
 * FCFS, but prefill chunks stay small while any sequence decodes, so that a long prompt does not
 * make the answers of the others stutter.
 */
export const calmDecode = (calmChunkTokens: number): SchedulerPolicy => ({
  specVersion: 1,
  name: 'calm-decode',
  plan(view) {
    const decoding = view.running.some(({ tokensLeft }) => tokensLeft === 1);
    const chunk = decoding ? calmChunkTokens : view.prefillChunkTokensMax;
    return fcfs.plan({
      ...view,
      prefillChunkTokensMax: Math.min(chunk, view.prefillChunkTokensMax),
    });
  },
});

/**
 * Serves the requests with a model whose next token is the last one plus one. Returns the tokens of
 * each sequence in each step, as text.
 */
export function showSteps(policy: SchedulerPolicy, prompts: readonly number[][]): string[] {
  const batcher = new Batcher({
    policy,
    kvPageCount: 64,
    kvPageSize: 16,
    microBatchCount: 2,
    tokensPerMicroBatchMax: 32,
    prefillChunkTokensMax: 48,
    maxNumSeqs: 8,
    maxQueuedRequests: 100,
    positionsMax: 1024,
  });
  for (const [index, promptTokens] of prompts.entries()) {
    const request: SequenceRequest = {
      id: sequenceId(index),
      promptTokens,
      maxTokens: 3,
      eosTokenIds: [],
      ignoreEos: false,
      arrivedAtMs: 0,
      sampling: {},
    };
    batcher.add(request);
  }
  const lines: string[] = [];
  for (let step = batcher.planStep(0); step !== undefined; step = batcher.planStep(0)) {
    lines.push(step.plan.run.map(({ id, tokens }) => `${id}:${tokens}`).join(' '));
    // Here an attention worker runs the step's micro-batches and samples from their logits.
    const sampled = step.logits.map((rows) =>
      rows.map(({ history }) => (history.tokens.at(-1) ?? 0) + 1),
    );
    batcher.completeStep(sampled);
  }
  return lines;
}
