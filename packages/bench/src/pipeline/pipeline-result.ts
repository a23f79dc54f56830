import type { StageTimes } from '@megascale/scheduler';

/** One m over one link. Times are of decode steps, in microseconds. */
export interface PipelinePoint {
  /** T_c / T_f */
  readonly transferRatio: number;
  readonly microBatches: number;
  /** What the law was given: told to the null backend, measured of another. */
  readonly times: StageTimes;
  /** Whether m fulfils the condition. */
  readonly hides: boolean;
  /** Each step on its own: from empty pipeline to empty pipeline. */
  readonly apart: Compared;
  /** Steps that start while the one before still samples: one layer's period times L. */
  readonly joined: Compared;
  /**
   * Tokens per second over those of m − 1, at equal micro-batches, steps apart; absent for m = 1.
   */
  readonly speedUp?: { readonly measured: number; readonly law: number };
  /**
   * Part of all hops that joined steps are not longer by than the law's without a link: whatever
   * else lengthens them counts as not hidden.
   */
  readonly hidden?: number;
  /**
   * Part of all hops that joined steps are not longer by than those of the same deployment without
   * a link, measured next to them: what handing over costs without any link does not count.
   */
  readonly linkHidden?: number;
}

export interface Compared {
  readonly measuredUs: number;
  readonly p99Us: number;
  readonly lawUs: number;
  /** measured / law */
  readonly ratio: number;
}

export interface PipelineResult {
  readonly backend: string;
  readonly layers: number;
  /** Sequences in each micro-batch of each attention worker. */
  readonly batch: number;
  readonly outputTokens: number;
  readonly points: readonly PipelinePoint[];
}
