import { stepTimeUs, type StageTimes } from '@megascale/scheduler';
import { createAcceleratorCosts } from '../cost/accelerator-costs.js';
import { distinctExperts, groupsPerToken } from '../cost/active-experts.js';
import { defaultAssumptions, type Assumptions } from '../cost/assumptions.js';
import type { StepCosts } from '../cost/step-costs.js';
import type { DisaggregatedDeployment } from '../deployment/deployment.js';
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

/** The datasheets' times for these pools. */
export function disaggregatedCosts(
  shape: ModelShape,
  deployment: DisaggregatedDeployment,
  assumptions: Assumptions = defaultAssumptions,
): StepCosts {
  const { attention, expert } = deployment;
  return createAcceleratorCosts({
    shape,
    attention,
    expert,
    link: sharesScaleUp(deployment) ? 'scale-up' : 'network',
    assumptions,
  });
}

/** Whether all workers are in one scale-up domain. */
export function sharesScaleUp({ attention, expert }: DisaggregatedDeployment): boolean {
  const count =
    attention.tensorParallel * attention.workers + expert.tensorParallel * expert.workers;
  return (
    attention.accelerator.name === expert.accelerator.name &&
    count <= attention.accelerator.scaleUp.domain
  );
}

/**
 * One step of a batch (`objective.batch` sequences of the whole instance) by the closed form of the
 * ping-pong pipeline. Work is that of the mean worker: routing is uniform, sequences are dealt out
 * evenly. The LM head comes at the end of each micro-batch and is not hidden.
 */
export function evaluateDisaggregated(
  shape: ModelShape,
  deployment: DisaggregatedDeployment,
  objective: Objective,
  assumptions: Assumptions = defaultAssumptions,
  costs: StepCosts = disaggregatedCosts(shape, deployment, assumptions),
): DecodeEvaluation {
  const { batch, contextTokens } = objective;
  const work = microBatchWork(shape, deployment, batch, assumptions);
  const times = disaggregatedTimes(shape, deployment, { work, contextTokens }, costs);
  const stepUs = stepOf(shape, deployment, times, { work, costs });
  const hardware = hardwareTotals(deployment);
  return {
    batch,
    contextTokens,
    times,
    stepUs,
    hardware,
    work,
    memory: disaggregatedMemory(shape, deployment, objective, assumptions),
    ...rated(batch, stepUs, hardware),
  };
}

/** The step time alone. */
export function disaggregatedStepUs(
  shape: ModelShape,
  deployment: DisaggregatedDeployment,
  { batch, contextTokens }: Objective,
  assumptions: Assumptions,
  costs: StepCosts,
): number {
  const work = microBatchWork(shape, deployment, batch, assumptions);
  const times = disaggregatedTimes(shape, deployment, { work, contextTokens }, costs);
  return stepOf(shape, deployment, times, { work, costs });
}

function stepOf(
  shape: ModelShape,
  { microBatchCount }: DisaggregatedDeployment,
  times: StageTimes,
  { work, costs }: { readonly work: MicroBatchWork; readonly costs: StepCosts },
): number {
  return (
    stepTimeUs(times, microBatchCount, shape.layerCount) +
    microBatchCount * costs.edgeTimeUs(work.tokensPerAttentionWorker) +
    costs.stepOverheadUs
  );
}

/** b_a, b_e and what travels, for one of m micro-batches. */
export function microBatchWork(
  shape: ModelShape,
  { attention, expert, microBatchCount }: DisaggregatedDeployment,
  batch: number,
  { expertImbalance, combineAtExperts }: Assumptions = defaultAssumptions,
): MicroBatchWork {
  const { expertCount, topK, message } = shape;
  const { expertsPerWorker, replicas, workers } = expert;
  const tokens = batch / microBatchCount;
  const groups = groupsPerToken(expertCount, expertsPerWorker, topK);
  const dispatchBytes = groups * message.dispatchBytesPerRow;
  const combineBytes = (combineAtExperts ? groups : topK) * message.combineBytesPerRow;
  const bytes = tokens * Math.max(dispatchBytes, combineBytes);
  return {
    tokensPerAttentionWorker: tokens / attention.workers,
    rowsPerExpertWorker: ((tokens * topK) / workers) * expertImbalance,
    distinctExpertsPerWorker: distinctExperts(
      expertsPerWorker,
      topK / (expertCount * replicas),
      tokens,
    ),
    bytesPerAttentionWorker: bytes / attention.workers,
    bytesPerExpertWorker: (bytes / workers) * expertImbalance,
  };
}

function disaggregatedTimes(
  shape: ModelShape,
  { attention, expert }: DisaggregatedDeployment,
  { work, contextTokens }: { readonly work: MicroBatchWork; readonly contextTokens: number },
  costs: StepCosts,
): StageTimes {
  const tokens = work.tokensPerAttentionWorker;
  const keys = tokens * keysSeenWith(shape, contextTokens);
  return {
    attentionTimeUs: costs.attentionTimeUs({ tokens, keysSeen: keys, keysRead: keys }),
    expertTimeUs: costs.expertTimeUs({
      rows: work.rowsPerExpertWorker,
      distinctExperts: work.distinctExpertsPerWorker,
    }),
    transferTimeUs: costs.transferTimeUs({
      attentionBytes: work.bytesPerAttentionWorker,
      expertBytes: work.bytesPerExpertWorker,
      attentionPeers: expert.workers,
      expertPeers: attention.workers,
    }),
  };
}

/** The paper's condition (8), with the share of memory that may be used. */
export function disaggregatedMemory(
  shape: ModelShape,
  { attention, expert }: DisaggregatedDeployment,
  { batch, contextTokens }: Objective,
  { memoryUsable }: Assumptions = defaultAssumptions,
): readonly [MemoryUse, MemoryUse] {
  const keys = keysSeenWith(shape, contextTokens);
  return [
    {
      pool: 'attention',
      weightBytes: attentionWeightBytes(shape),
      kvBytes: (batch / attention.workers) * keys * shape.kvBytesPerToken,
      usableBytes:
        attention.accelerator.memoryGigabytes * 1e9 * attention.tensorParallel * memoryUsable,
    },
    {
      pool: 'expert',
      weightBytes: expert.expertsPerWorker * expertWeightBytes(shape),
      kvBytes: 0,
      usableBytes: expert.accelerator.memoryGigabytes * 1e9 * expert.tensorParallel * memoryUsable,
    },
  ];
}
