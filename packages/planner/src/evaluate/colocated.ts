import type { StageTimes } from '@megascale/scheduler';
import { createAcceleratorCosts } from '../cost/accelerator-costs.js';
import { distinctExperts, groupsPerToken } from '../cost/active-experts.js';
import { defaultAssumptions, type Assumptions } from '../cost/assumptions.js';
import type { StepCosts } from '../cost/step-costs.js';
import type { ColocatedDeployment } from '../deployment/deployment.js';
import {
  attentionWeightBytes,
  expertWeightBytes,
  keysSeenWith,
  type ModelShape,
} from '../model/model-shape.js';
import {
  hardwareTotals,
  rated,
  type DecodeEvaluation,
  type MemoryUse,
  type MicroBatchWork,
  type Objective,
} from './decode-evaluation.js';

export function colocatedCosts(
  shape: ModelShape,
  { pool }: ColocatedDeployment,
  assumptions: Assumptions = defaultAssumptions,
): StepCosts {
  const { scaleUp } = pool.accelerator;
  const inside = pool.tensorParallel * pool.workers <= scaleUp.domain;
  const link = inside ? 'scale-up' : 'network';
  return createAcceleratorCosts({ shape, attention: pool, expert: pool, link, assumptions });
}

/**
 * One step of a batch where both halves run on the same accelerators. `tensor`: every worker is a
 * stage of the pipeline, and each of as many micro-batches as stages passes through all of them.
 * `expert`: all workers do the same layer; with m = 2 one micro-batch computes while the other's
 * rows travel.
 */
export function evaluateColocated(
  shape: ModelShape,
  deployment: ColocatedDeployment,
  objective: Objective,
  assumptions: Assumptions = defaultAssumptions,
  costs: StepCosts = colocatedCosts(shape, deployment, assumptions),
): DecodeEvaluation {
  const { batch, contextTokens } = objective;
  const tensor = deployment.parallelism === 'tensor';
  const work = tensor
    ? tensorWork(shape, deployment, batch)
    : expertWork(shape, deployment, batch, assumptions);
  const tokens = work.tokensPerAttentionWorker;
  const keys = tokens * keysSeenWith(shape, contextTokens);
  const peers = Math.max(0, deployment.pool.workers - 1);
  const times: StageTimes = {
    attentionTimeUs: costs.attentionTimeUs({ tokens, keysSeen: keys, keysRead: keys }),
    expertTimeUs: costs.expertTimeUs({
      rows: work.rowsPerExpertWorker,
      distinctExperts: work.distinctExpertsPerWorker,
      reducedRows: tensor ? tokens : work.rowsPerExpertWorker,
    }),
    transferTimeUs:
      peers === 0
        ? 0
        : costs.transferTimeUs({
            attentionBytes: work.bytesPerAttentionWorker,
            expertBytes: work.bytesPerExpertWorker,
            attentionPeers: tensor ? 1 : peers,
            expertPeers: tensor ? 1 : peers,
          }),
  };
  const stepUs =
    costs.stepOverheadUs +
    (tensor
      ? pipelineStepUs(shape, deployment, times, costs.edgeTimeUs(tokens))
      : shape.layerCount * expertLayerUs(times, deployment.microBatchCount) +
        deployment.microBatchCount * costs.edgeTimeUs(tokens));
  const hardware = hardwareTotals(deployment);
  return {
    batch,
    contextTokens,
    times,
    stepUs,
    hardware,
    work,
    memory: [colocatedMemory(shape, deployment, objective, assumptions)],
    ...rated(batch, stepUs, hardware),
  };
}

/** As many micro-batches as stages go round; the last stage has its layers and the LM head. */
function pipelineStepUs(
  { layerCount }: ModelShape,
  { pipelineParallel }: ColocatedDeployment,
  { attentionTimeUs, expertTimeUs, transferTimeUs }: StageTimes,
  edgeUs: number,
): number {
  const layers = Math.ceil(layerCount / pipelineParallel);
  return pipelineParallel * (layers * (attentionTimeUs + expertTimeUs) + transferTimeUs + edgeUs);
}

/**
 * A layer of m micro-batches that share one device and one link: whichever is longest of computing,
 * one round trip, and travelling.
 */
function expertLayerUs(times: StageTimes, microBatchCount: number): number {
  const computeUs = times.attentionTimeUs + times.expertTimeUs;
  const travelUs = 2 * times.transferTimeUs;
  return Math.max(microBatchCount * computeUs, computeUs + travelUs, microBatchCount * travelUs);
}

/** A token goes through all experts in one place; between stages only its hidden state travels. */
function tensorWork(
  shape: ModelShape,
  { pipelineParallel }: ColocatedDeployment,
  batch: number,
): MicroBatchWork {
  const tokens = batch / pipelineParallel;
  const bytes = pipelineParallel > 1 ? tokens * shape.message.combineBytesPerRow : 0;
  return {
    tokensPerAttentionWorker: tokens,
    rowsPerExpertWorker: tokens * shape.topK,
    distinctExpertsPerWorker: distinctExperts(
      shape.expertCount,
      shape.topK / shape.expertCount,
      tokens,
    ),
    bytesPerAttentionWorker: bytes,
    bytesPerExpertWorker: bytes,
  };
}

/**
 * Rows go to the workers of their experts, except those that are there already; inside a machine
 * over the scale-up link, free beside the network.
 */
function expertWork(
  shape: ModelShape,
  { pool, microBatchCount }: ColocatedDeployment,
  batch: number,
  { expertImbalance, combineAtExperts }: Assumptions,
): MicroBatchWork {
  const { expertCount, topK, message } = shape;
  const tokens = batch / microBatchCount;
  const perWorker = expertsPerColocatedWorker(shape, pool.workers);
  const replicas = (perWorker * pool.workers) / expertCount;
  const groups = groupsPerToken(expertCount, perWorker, topK);
  const domainWorkers = Math.floor(pool.accelerator.scaleUp.domain / pool.tensorParallel);
  const nearWorkers = domainWorkers >= pool.workers ? 1 : Math.max(1, domainWorkers);
  const away = 1 - nearWorkers / pool.workers;
  const bytes =
    (tokens / pool.workers) *
    away *
    Math.max(
      groups * message.dispatchBytesPerRow,
      (combineAtExperts ? groups : topK) * message.combineBytesPerRow,
    );
  return {
    tokensPerAttentionWorker: tokens / pool.workers,
    rowsPerExpertWorker: ((tokens * topK) / pool.workers) * expertImbalance,
    distinctExpertsPerWorker: distinctExperts(perWorker, topK / (expertCount * replicas), tokens),
    bytesPerAttentionWorker: bytes,
    bytesPerExpertWorker: bytes * expertImbalance,
  };
}

/** With more workers than experts some have replicas; every worker holds at least one. */
export function expertsPerColocatedWorker(shape: ModelShape, workers: number): number {
  return Math.max(1, Math.ceil(shape.expertCount / workers));
}

export function colocatedMemory(
  shape: ModelShape,
  { parallelism, pool }: ColocatedDeployment,
  { batch, contextTokens }: Objective,
  { memoryUsable }: Assumptions = defaultAssumptions,
): MemoryUse {
  const workerBytes = pool.accelerator.memoryGigabytes * 1e9 * pool.tensorParallel * memoryUsable;
  const kvBytes = batch * keysSeenWith(shape, contextTokens) * shape.kvBytesPerToken;
  if (parallelism === 'tensor') {
    return {
      pool: 'all',
      weightBytes: attentionWeightBytes(shape) + shape.expertCount * expertWeightBytes(shape),
      kvBytes,
      usableBytes: workerBytes * pool.workers,
    };
  }
  return {
    pool: 'all',
    weightBytes:
      attentionWeightBytes(shape) +
      expertsPerColocatedWorker(shape, pool.workers) * expertWeightBytes(shape),
    kvBytes: kvBytes / pool.workers,
    usableBytes: workerBytes,
  };
}
