import type { Accelerator } from '../catalogue/accelerator.js';
import { builtInCatalogue, findAccelerator } from '../catalogue/catalogue.js';
import { defaultAssumptions, type Assumptions } from '../cost/assumptions.js';
import type { ColocatedDeployment, DisaggregatedDeployment } from '../deployment/deployment.js';
import type { ModelShape } from '../model/model-shape.js';
import { namedModelShape } from '../model/named-models.js';
import { withLargestBatch } from '../search/with-largest-batch.js';
import type { Candidate, PlanObjective } from '../search/plan-request.js';
import { attentionOptions, expertOptions } from '../search/pool-options.js';
import { searchContext, type SearchContext } from '../search/search-context.js';
import { searchDisaggregated } from '../search/search-disaggregated.js';

/**
 * What the paper leaves open, once for all rows; a change of one of these is what a row's
 * sensitivity shows.
 */
export interface PaperSetting {
  readonly assumptions: Assumptions;
  /** Of the medians 571 in and 159 out. */
  readonly traffic: { readonly inputTokens: number; readonly outputTokens: number };
  /** What vLLM reaches of TensorRT-LLM at the same parallelism: the paper's own 1.28 over 2.56. */
  readonly vllmShare: number;
  /** NCCL's time over M2N's for the same rows: the paper's throughput ratio at 256 KB. */
  readonly ncclTime: number;
  /**
   * Ours on the same kind of prefill cluster as the baseline, or on the cheapest kind of its pools.
   */
  readonly prefill: 'same' | 'cheapest';
}

export const paperSetting: PaperSetting = {
  assumptions: defaultAssumptions,
  traffic: { inputTokens: 571, outputTokens: 159 },
  vllmShare: 0.5,
  ncclTime: 4.2,
  prefill: 'same',
};

export const paperModels = ['mixtral-8x22b', 'dbrx', 'scaled-moe'] as const;
export type PaperModel = (typeof paperModels)[number];

/** 8 machines of 8 Ampere accelerators. */
const clusterSize = 64;
const sloMs = 150;

export function paperAccelerator(name: 'A800' | 'H20' | 'L40S'): Accelerator {
  return findAccelerator(builtInCatalogue(), name);
}

export function paperContext(
  shape: ModelShape,
  { assumptions, traffic }: PaperSetting,
  objective: PlanObjective,
): SearchContext {
  return searchContext({
    shape,
    traffic,
    assumptions,
    objective,
    slo: { tpotMs: sloMs },
    // Algorithm 1: one expert a worker, one copy, N_m = 4.
    limits: {
      expertsPerWorkerMax: 1,
      replicas: [1],
      microBatchCounts: [3, 4],
      acceleratorsMax: clusterSize,
    },
  });
}

const shapes = new Map<PaperModel, ModelShape>();

/** Built once: a graph of a paper's model has tens of thousands of tensors. */
export function paperShape(model: PaperModel): ModelShape {
  const shape = shapes.get(model) ?? namedModelShape(model);
  shapes.set(model, shape);
  return shape;
}

/** MegaScale-Infer on these accelerators: Algorithm 1. */
export function ourPlan(
  attention: Accelerator,
  expert: Accelerator,
  context: SearchContext,
): Candidate & { readonly deployment: DisaggregatedDeployment } {
  const found = searchDisaggregated(
    attentionOptions(attention, context),
    expertOptions(expert, context),
    context,
  );
  if (found?.deployment.kind !== 'disaggregated') throw new Error('no plan for the paper');
  return { ...found, deployment: found.deployment };
}

/**
 * TensorRT-LLM-like, on whole machines: TP inside a machine, PP over machines. Its EP keeps TP for
 * attention and all rows in every accelerator, so that in this model it costs what TP costs.
 */
export function pipelineOverMachines(
  accelerator: Accelerator,
  machines: number,
  context: SearchContext,
): Candidate {
  const pool = { accelerator, tensorParallel: accelerator.perNode, workers: machines };
  return baseline({ pool, pipelineParallel: machines }, context);
}

/**
 * vLLM-like: TP over all accelerators. A ring over machines runs at what all cards of a machine
 * carry together, and pays their latency.
 */
export function tensorOverMachines(
  accelerator: Accelerator,
  machines: number,
  context: SearchContext,
): Candidate {
  const { perNode, network, scaleUp } = accelerator;
  const all = perNode * machines;
  const spread: Accelerator = {
    ...accelerator,
    perNode: all,
    scaleUp: {
      name: 'ring over machines',
      gigabytesPerSecond: Math.min(
        scaleUp.gigabytesPerSecond,
        perNode * network.gigabytesPerSecond,
      ),
      latencyUs: scaleUp.latencyUs + 2 * network.latencyUs,
      domain: all,
    },
  };
  const pool = {
    accelerator: machines === 1 ? accelerator : spread,
    tensorParallel: all,
    workers: 1,
  };
  return baseline({ pool, pipelineParallel: 1 }, context);
}

function baseline(
  deployment: Pick<ColocatedDeployment, 'pool' | 'pipelineParallel'>,
  context: SearchContext,
): Candidate {
  const found = withLargestBatch(
    { kind: 'colocated', parallelism: 'tensor', microBatchCount: 1, ...deployment },
    context,
  );
  if (found === undefined) throw new Error('no baseline for the paper');
  return found;
}

/** Machines of 8 accelerators that hold the weights, with the usable share of memory. */
export function machinesFor(
  shape: ModelShape,
  accelerator: Accelerator,
  { memoryUsable }: Assumptions,
): number {
  const machineBytes = accelerator.memoryGigabytes * 1e9 * accelerator.perNode * memoryUsable;
  return Math.ceil((shape.parameterCount * 2) / machineBytes);
}
