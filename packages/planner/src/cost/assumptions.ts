/**
 * What no datasheet says. Each is stated here once and used for every deployment, ours and the
 * baselines alike; `megascale profile` replaces them by what a machine was measured to do.
 */
export interface Assumptions {
  /** Share of the datasheet's memory bandwidth that streaming kernels reach. */
  readonly memoryShare: number;
  /** Share of the line rate between machines that large messages reach. */
  readonly networkShare: number;
  /** Share of the scale-up bandwidth that collectives inside a machine reach. */
  readonly scaleUpShare: number;
  /** Launches and small kernels of one attention half, and of one expert half. */
  readonly attentionFixedUs: number;
  readonly expertFixedUs: number;
  /** Posting one message. */
  readonly messageUs: number;
  /** Planning, sampling and messages of one step. */
  readonly stepOverheadUs: number;
  /** Share of memory that weights and KV pages may take. */
  readonly memoryUsable: number;
  /** Rows of the busiest expert worker over the mean: 1 where hot experts have replicas. */
  readonly expertImbalance: number;
  /**
   * Attention time of the slowest worker over the mean: 1 where sequences are dealt out by their
   * contexts.
   */
  readonly attentionImbalance: number;
  /**
   * Answers of a token are summed where the experts are: fewer bytes come back. Gives up bit-equal
   * tokens across topologies.
   */
  readonly combineAtExperts: boolean;
}

export const defaultAssumptions: Assumptions = {
  memoryShare: 0.85,
  networkShare: 0.9,
  scaleUpShare: 0.75,
  attentionFixedUs: 12,
  expertFixedUs: 8,
  messageUs: 0.3,
  stepOverheadUs: 1000,
  memoryUsable: 0.9,
  expertImbalance: 1,
  attentionImbalance: 1,
  combineAtExperts: false,
};
