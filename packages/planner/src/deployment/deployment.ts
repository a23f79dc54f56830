import type { Accelerator } from '../catalogue/accelerator.js';

/** Workers of one pool; each is `tensorParallel` accelerators of one machine. */
export interface Pool {
  readonly accelerator: Accelerator;
  /** tp_a or tp_e */
  readonly tensorParallel: number;
  /** n_a (M) or the expert workers (N). */
  readonly workers: number;
}

/** Attention and experts on pools of their own. */
export interface DisaggregatedDeployment {
  readonly kind: 'disaggregated';
  readonly attention: Pool;
  readonly expert: Pool & {
    readonly expertsPerWorker: number;
    /** Workers that hold each expert; N = E × replicas / expertsPerWorker. */
    readonly replicas: number;
  };
  /** m */
  readonly microBatchCount: number;
}

/**
 * Both halves on the same accelerators: `tensor` splits every matrix over the accelerators of one
 * machine (and layers over
 * `pipelineParallel` machines); `expert` gives each worker its own sequences and a share of the experts, with an all-to-all before and after
 * the experts of each layer.
 */
export interface ColocatedDeployment {
  readonly kind: 'colocated';
  readonly parallelism: 'tensor' | 'expert';
  readonly pool: Pool;
  readonly pipelineParallel: number;
  /** m: 1, or 2 with the all-to-all of one micro-batch behind the compute of the other. */
  readonly microBatchCount: number;
}

export type Deployment = DisaggregatedDeployment | ColocatedDeployment;

/** What the deployment is for. */
export interface Traffic {
  /** Mean prompt tokens. */
  readonly inputTokens: number;
  /** Mean output tokens. */
  readonly outputTokens: number;
}

export interface Slo {
  readonly tpotMs: number;
  readonly ttftMs?: number | undefined;
}

/** Keys that a decoding sequence sees on average: its prompt and half of its answer. */
export function meanContextTokens({ inputTokens, outputTokens }: Traffic): number {
  return inputTokens + outputTokens / 2;
}
