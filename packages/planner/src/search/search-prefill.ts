import type { Accelerator } from '../catalogue/accelerator.js';
import { createAcceleratorCosts } from '../cost/accelerator-costs.js';
import { distinctExperts } from '../cost/active-experts.js';
import type { Pool, Traffic } from '../deployment/deployment.js';
import { attentionWeightBytes, expertWeightBytes, keysSeenWith } from '../model/model-shape.js';
import { unitOf } from './pool-options.js';
import { largestBatch } from './largest-batch.js';
import type { SearchContext } from './search-context.js';

/**
 * The prefill pool: whole prompts, colocated, tensor-parallel inside a machine and
 * pipeline-parallel over workers.
 */
export interface PrefillPlan {
  /** One instance; each worker is a stage with its share of the layers. */
  readonly pool: Pool;
  /** Prompts that are computed together, in each stage. */
  readonly prompts: number;
  /**
   * Half a batch of waiting, then the batch through all stages; rows between stages are not
   * counted.
   */
  readonly ttftMs: number;
  readonly promptTokensPerSecond: number;
  readonly promptTokensPerSecondPerUnit: number;
}

/** Prompts in one batch at most: more gains nothing once the accelerators are compute-bound. */
const promptsMax = 64;

/**
 * The prefill pool with the most prompt tokens per second per price (accelerator, watt) whose time
 * to the first token keeps the SLO. Each prompt is computed at once; weights and the batch's keys
 * and values have to fit.
 */
export function searchPrefill(
  accelerators: readonly Accelerator[],
  traffic: Traffic,
  ttftMs: number | undefined,
  context: SearchContext,
): PrefillPlan | undefined {
  const plans = accelerators.flatMap((accelerator) =>
    context.limits.tensorParallel
      .filter((degree) => degree <= accelerator.perNode)
      .flatMap((tensorParallel) =>
        [1, 2, 4, 8].map((workers) =>
          prefillPlan({ accelerator, tensorParallel, workers }, traffic, ttftMs, context),
        ),
      ),
  );
  return plans.reduce<PrefillPlan | undefined>((best, plan) => {
    const rate = plan?.promptTokensPerSecondPerUnit ?? 0;
    return rate > (best?.promptTokensPerSecondPerUnit ?? 0) ? plan : best;
  }, undefined);
}

function prefillPlan(
  pool: Pool,
  { inputTokens }: Traffic,
  ttftMs = Infinity,
  { shape, assumptions, objective }: SearchContext,
): PrefillPlan | undefined {
  const costs = createAcceleratorCosts({
    shape,
    attention: pool,
    expert: pool,
    assumptions,
    link: 'scale-up',
  });
  const window = keysSeenWith(shape, inputTokens);
  const stages = pool.workers;
  /** All stages, one after the other. */
  const timeUs = (prompts: number): number => {
    const tokens = prompts * inputTokens;
    const attentionUs = costs.attentionTimeUs({
      tokens,
      // Of the tokens of one prompt: each sees those before it, as far as the window reaches.
      keysSeen: prompts * (window * (inputTokens - window) + (window * (window + 1)) / 2),
      keysRead: tokens,
    });
    const expertUs = costs.expertTimeUs({
      rows: tokens * shape.topK,
      distinctExperts: distinctExperts(shape.expertCount, shape.topK / shape.expertCount, tokens),
      reducedRows: tokens,
    });
    const layers = Math.ceil(shape.layerCount / stages);
    return stages * (layers * (attentionUs + expertUs) + costs.edgeTimeUs(prompts));
  };
  const roomBytes =
    pool.accelerator.memoryGigabytes *
      1e9 *
      pool.tensorParallel *
      stages *
      assumptions.memoryUsable -
    attentionWeightBytes(shape) -
    shape.expertCount * expertWeightBytes(shape);
  const prompts = largestBatch((count) => 1.5 * timeUs(count), {
    unit: 1,
    batchMax: Math.min(promptsMax, roomBytes / (stages * inputTokens * shape.kvBytesPerToken)),
    stepUsMax: ttftMs * 1000,
  });
  if (prompts === 0) return undefined;
  const us = timeUs(prompts);
  const rate = (stages * prompts * inputTokens * 1e6) / us;
  return {
    pool,
    prompts,
    ttftMs: (1.5 * us) / 1000,
    promptTokensPerSecond: rate,
    promptTokensPerSecondPerUnit: rate / (stages * unitOf(pool, objective)),
  };
}
