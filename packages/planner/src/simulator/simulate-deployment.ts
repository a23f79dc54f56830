import { ConfigError } from '@megascale/core';
import { groupsPerToken } from '../cost/active-experts.js';
import { defaultAssumptions, type Assumptions } from '../cost/assumptions.js';
import type { StepCosts } from '../cost/step-costs.js';
import type {
  ColocatedDeployment,
  Deployment,
  DisaggregatedDeployment,
} from '../deployment/deployment.js';
import { colocatedMemory, expertsPerColocatedWorker } from '../evaluate/colocated.js';
import { hardwareTotals, type MemoryUse } from '../evaluate/decode-evaluation.js';
import { disaggregatedMemory } from '../evaluate/disaggregated.js';
import { costsOf } from '../evaluate/evaluate.js';
import { keysSeenWith, type ModelShape } from '../model/model-shape.js';
import type { ServingLimits } from './serve/serving-run.js';
import type { SimulatedInstance } from './simulated-instance.js';

/** A deployment as the simulator takes it. */
export interface SimulatedDeployment {
  readonly instance: SimulatedInstance;
  /** The KV pages that its memory has room for; everything else is the engine's default. */
  readonly limits: ServingLimits;
  readonly accelerators: number;
}

export interface SimulatedDeploymentOptions {
  readonly assumptions?: Assumptions;
  /** Measured ones; default: the datasheets'. */
  readonly costs?: StepCosts;
  readonly kvPageSize?: number;
}

const nothing = { batch: 0, contextTokens: 0 };

/**
 * What the simulator needs of a deployment, from the same costs and the same memory that the plan
 * search uses.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' where weights leave no room for KV pages, and for colocated deployments whose micro-batches or pipeline stages
 * overlap: their order of work is not the engine's.
 */
export function simulatedDeployment(
  shape: ModelShape,
  deployment: Deployment,
  options: SimulatedDeploymentOptions = {},
): SimulatedDeployment {
  const { assumptions = defaultAssumptions, kvPageSize = 16 } = options;
  const costs = options.costs ?? costsOf(shape, deployment, assumptions);
  const adjusted = { ...costs, ...withShape(shape, costs, assumptions) };
  const colocated = deployment.kind === 'colocated';
  const memory = colocated
    ? colocatedMemory(shape, deployment, nothing, assumptions)
    : disaggregatedMemory(shape, deployment, nothing, assumptions)[0];
  return {
    instance: colocated
      ? colocatedInstance(
          shape,
          deployment,
          deployment.parallelism === 'tensor'
            ? withTensorExperts(shape, costs, adjusted)
            : adjusted,
          assumptions,
        )
      : disaggregatedInstance(shape, deployment, adjusted, assumptions),
    limits: { kvPages: kvPagesOf(memory, shape, kvPageSize), kvPageSize },
    accelerators: hardwareTotals(deployment).accelerators,
  };
}

/** Sliding windows shorten what a token sees; the busiest expert worker counts. */
function withShape(
  shape: ModelShape,
  costs: StepCosts,
  { expertImbalance }: Assumptions,
): Pick<StepCosts, 'attentionTimeUs' | 'expertTimeUs' | 'transferTimeUs'> {
  const seen = (keys: number, tokens: number): number =>
    tokens > 0 ? tokens * keysSeenWith(shape, keys / tokens) : keys;
  return {
    attentionTimeUs: ({ tokens, keysSeen, keysRead }) =>
      costs.attentionTimeUs({
        tokens,
        keysSeen: seen(keysSeen, tokens),
        keysRead: seen(keysRead, tokens),
      }),
    expertTimeUs: (work) => costs.expertTimeUs({ ...work, rows: work.rows * expertImbalance }),
    transferTimeUs: (work) =>
      costs.transferTimeUs({ ...work, expertBytes: work.expertBytes * expertImbalance }),
  };
}

/**
 * All experts are in one place: none is busier than others, and a token's answers are added up
 * before the accelerators exchange them.
 */
function withTensorExperts({ topK }: ModelShape, costs: StepCosts, adjusted: StepCosts): StepCosts {
  return {
    ...adjusted,
    expertTimeUs: ({ rows, distinctExperts }) =>
      costs.expertTimeUs({ rows, distinctExperts, reducedRows: rows / topK }),
  };
}

function disaggregatedInstance(
  { expertCount, topK, layerCount, message }: ModelShape,
  { attention, expert, microBatchCount }: DisaggregatedDeployment,
  costs: StepCosts,
  { combineAtExperts }: Assumptions,
): SimulatedInstance {
  const groups = groupsPerToken(expertCount, expert.expertsPerWorker, topK);
  const answers = combineAtExperts ? groups : topK;
  return {
    costs,
    layers: layerCount,
    expertCount,
    topK,
    expertReplicas: expert.replicas,
    dispatchRowBytes: (groups * message.dispatchBytesPerRow) / topK,
    answerRowBytes: (answers * message.combineBytesPerRow) / topK,
    attentionWorkers: attention.workers,
    expertWorkers: expert.workers,
    microBatches: microBatchCount,
  };
}

/**
 * Without pools there is no link: an all-to-all of equally loaded workers is part of their experts'
 * time.
 */
function colocatedInstance(
  shape: ModelShape,
  { parallelism, pool, pipelineParallel, microBatchCount }: ColocatedDeployment,
  costs: StepCosts,
  { combineAtExperts }: Assumptions,
): SimulatedInstance {
  if (pipelineParallel > 1 || microBatchCount > 1) {
    throw new ConfigError('ERR_CONFIG_FIELD', {
      message: `A colocated deployment of ${pipelineParallel} pipeline stages and ${microBatchCount} micro-batches is not simulated. Give one of one stage and one micro-batch.`,
      details: { path: 'deployment', pipelineParallel, microBatchCount },
    });
  }
  const { expertCount, topK, layerCount, message } = shape;
  const base = {
    layers: layerCount,
    expertCount,
    topK,
    microBatches: 1,
    expertWorkers: 0,
    dispatchRowBytes: message.dispatchBytesPerRow,
    answerRowBytes: message.combineBytesPerRow,
  };
  if (parallelism === 'tensor' || pool.workers === 1) {
    return { ...base, costs, attentionWorkers: 1 };
  }
  const { workers } = pool;
  const perWorker = expertsPerColocatedWorker(shape, workers);
  const replicas = (perWorker * workers) / expertCount;
  const groups = groupsPerToken(expertCount, perWorker, topK);
  const nearWorkers = Math.floor(pool.accelerator.scaleUp.domain / pool.tensorParallel);
  const away = 1 - (nearWorkers >= workers ? 1 : Math.max(1, nearWorkers)) / workers;
  const tokenBytes =
    away *
    Math.max(
      groups * message.dispatchBytesPerRow,
      (combineAtExperts ? groups : topK) * message.combineBytesPerRow,
    );
  const together = (tokens: number): number =>
    perWorker * (1 - (1 - topK / (expertCount * replicas)) ** (tokens * workers));
  return {
    ...base,
    attentionWorkers: workers,
    costs: {
      ...costs,
      // Rows of this worker's tokens: as many come to it from the others as it sends away.
      expertTimeUs: ({ rows }) => {
        const bytes = (rows / topK) * tokenBytes;
        const peers = workers - 1;
        const transferUs = costs.transferTimeUs({
          ...{
            attentionBytes: bytes,
            expertBytes: bytes,
            attentionPeers: peers,
            expertPeers: peers,
          },
        });
        const distinctExperts = together(rows / topK);
        return costs.expertTimeUs({ rows, distinctExperts }) + 2 * transferUs;
      },
    },
  };
}

function kvPagesOf(
  { weightBytes, usableBytes }: MemoryUse,
  { kvBytesPerToken, name }: ModelShape,
  kvPageSize: number,
): number {
  const pages = Math.floor((usableBytes - weightBytes) / (kvBytesPerToken * kvPageSize));
  if (pages >= 1) return pages;
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `${name}: weights of ${(weightBytes / 1e9).toFixed(1)} GB leave no room for KV pages in ${(usableBytes / 1e9).toFixed(1)} GB. Give a worker more memory.`,
    details: { path: 'deployment', weightBytes, usableBytes },
  });
}
