import type { StepCosts } from '../cost/step-costs.js';
import type { Deployment } from '../deployment/deployment.js';
import type { MemoryUse } from '../evaluate/decode-evaluation.js';
import { costsOf, evaluateDecode } from '../evaluate/evaluate.js';
import { largestBatch } from './largest-batch.js';
import { scoreOf, type Candidate } from './plan-request.js';
import type { SearchContext } from './search-context.js';

/**
 * Evaluates this deployment with the largest batch that keeps the SLO and fits into memory.
 * `costs` default to the datasheets'; `tolerance` is that of `largestBatch`.
 *
 * @returns undefined where the weights do not fit, or one token of each worker takes too long.
 */
export function withLargestBatch(
  deployment: Deployment,
  context: SearchContext,
  {
    costs = costsOf(context.shape, deployment, context.assumptions),
    tolerance = 0,
  }: { readonly costs?: StepCosts; readonly tolerance?: number } = {},
): Candidate | undefined {
  const { shape, contextTokens, assumptions, stepUsMax, objective } = context;
  const evaluate = (batch: number) =>
    evaluateDecode(shape, deployment, { batch, contextTokens }, assumptions, costs);
  const one = evaluate(1);
  const batchMax = Math.min(...one.memory.map(sequencesWithin));
  const unit = uniformBatch(deployment);
  const stepUs = (size: number): number => evaluate(size).stepUs;
  const batch = largestBatch(stepUs, { unit, batchMax, stepUsMax, tolerance });
  if (batch === 0) return undefined;
  const evaluation = evaluate(batch);
  return {
    deployment,
    evaluation,
    batchBound: batch + unit > batchMax ? 'memory' : 'slo',
    score: scoreOf(evaluation, objective),
  };
}

/** The batch with one token in every micro-batch of every worker. */
export function uniformBatch(deployment: Deployment): number {
  const workers =
    deployment.kind === 'colocated' ? deployment.pool.workers : deployment.attention.workers;
  return workers * deployment.microBatchCount;
}

/** How many sequences fit beside the weights, when one sequence uses `kvBytes`. */
function sequencesWithin({ weightBytes, kvBytes, usableBytes }: MemoryUse): number {
  const room = usableBytes - weightBytes;
  if (room < 0) return 0;
  return kvBytes === 0 ? Number.MAX_SAFE_INTEGER : room / kvBytes;
}
