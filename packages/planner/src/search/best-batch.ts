import type { StepCosts } from '../cost/step-costs.js';
import type { Deployment } from '../deployment/deployment.js';
import type { MemoryUse } from '../evaluate/decode-evaluation.js';
import { costsOf, evaluateDecode } from '../evaluate/evaluate.js';
import { largestBatch } from './largest-batch.js';
import { scoreOf, type Candidate } from './plan-request.js';
import type { SearchContext } from './search-context.js';

/**
 * This deployment with the largest batch that keeps the SLO and fits; undefined where the weights do not fit or the least batch takes too long.
 * `costs` default to the datasheets'.
 */
export function withBestBatch(
  deployment: Deployment,
  context: SearchContext,
  costs: StepCosts = costsOf(context.shape, deployment, context.assumptions),
): Candidate | undefined {
  const { shape, contextTokens, assumptions, stepUsMax, objective } = context;
  const evaluate = (batch: number) =>
    evaluateDecode(shape, deployment, { batch, contextTokens }, assumptions, costs);
  const one = evaluate(1);
  const batchMax = Math.min(...one.memory.map(sequencesWithin));
  const unit = evenBatch(deployment);
  const batch = largestBatch((size) => evaluate(size).stepUs, {
    unit,
    batchMax,
    stepUsMax,
  });
  if (batch === 0) return undefined;
  const evaluation = evaluate(batch);
  return {
    deployment,
    evaluation,
    batchBound: batch + unit > batchMax ? 'memory' : 'slo',
    score: scoreOf(evaluation, objective),
  };
}

/** One token in every micro-batch of every worker. */
export function evenBatch(deployment: Deployment): number {
  const workers =
    deployment.kind === 'colocated' ? deployment.pool.workers : deployment.attention.workers;
  return workers * deployment.microBatchCount;
}

/** Of one sequence's use to as many as there is room for. */
function sequencesWithin({ weightBytes, kvBytes, usableBytes }: MemoryUse): number {
  const room = usableBytes - weightBytes;
  if (room < 0) return 0;
  return kvBytes === 0 ? Number.MAX_SAFE_INTEGER : room / kvBytes;
}
