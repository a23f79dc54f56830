import type { Accelerator } from '../catalogue/accelerator.js';
import type { Assumptions } from '../cost/assumptions.js';
import type { Deployment, Slo, Traffic } from '../deployment/deployment.js';
import type { DecodeEvaluation } from '../evaluate/decode-evaluation.js';
import type { ModelShape } from '../model/model-shape.js';

/**
 * What is searched for: the deployment with the most tokens per second per price, accelerator or
 * watt.
 */
export interface PlanRequest {
  readonly shape: ModelShape;
  /** Kinds that the attention pool may be of; the colocated pool may be of any of both lists. */
  readonly attention: readonly Accelerator[];
  readonly expert: readonly Accelerator[];
  readonly traffic: Traffic;
  readonly slo: Slo;
  readonly objective?: PlanObjective | undefined;
  readonly limits?: Partial<SearchLimits> | undefined;
  readonly assumptions?: Assumptions | undefined;
}

export type PlanObjective = 'price' | 'accelerator' | 'watt';

/** Bounds of the search; by default those of the engine. */
export interface SearchLimits {
  /** tp_a and tp_e, as far as a machine has as many accelerators. */
  readonly tensorParallel: readonly number[];
  readonly microBatchCounts: readonly number[];
  readonly attentionWorkersMax: number;
  readonly expertWorkersMax: number;
  /** Workers per expert, where each worker has one expert. */
  readonly replicas: readonly number[];
  /** Experts of one worker at most. */
  readonly expertsPerWorkerMax: number;
  /** Accelerators of a whole instance. */
  readonly acceleratorsMax: number;
}

export const defaultLimits: SearchLimits = {
  tensorParallel: [1, 2, 4, 8],
  microBatchCounts: [1, 2, 3, 4, 5, 6, 7, 8],
  attentionWorkersMax: 64,
  expertWorkersMax: 256,
  replicas: [1, 2],
  expertsPerWorkerMax: Infinity,
  acceleratorsMax: 1024,
};

/** A deployment with the largest batch that keeps the SLO and the memory. */
export interface Candidate {
  readonly deployment: Deployment;
  readonly evaluation: DecodeEvaluation;
  /** What keeps the batch from growing. */
  readonly batchBound: 'memory' | 'slo';
  readonly score: number;
}

export function scoreOf(evaluation: DecodeEvaluation, objective: PlanObjective = 'price'): number {
  switch (objective) {
    case 'price':
      return evaluation.tokensPerSecondPerPrice;
    case 'accelerator':
      return evaluation.tokensPerSecondPerAccelerator;
    case 'watt':
      return evaluation.tokensPerSecondPerWatt;
  }
}
