import type { SchedulerPolicy } from '@megascale/core';

import type { SimulatedInstance } from '../simulated-instance.js';
import type { SimulatedRequest } from '../load/requests.js';
import type { Faults } from './faults.js';
import type { ServingTargets } from './serving-metrics.js';

/** Limits of each attention worker, as in the engine. */
export interface ServingLimits {
  /** KV pages of one attention worker. */
  readonly kvPages: number;
  /** Tokens of a page; default 16. */
  readonly kvPageSize?: number;
  /** Default 512. */
  readonly maxNumBatchedTokens?: number;
  /** Default 256. */
  readonly prefillChunkTokens?: number;
  /** Default 256, and at most maxNumBatchedTokens. */
  readonly maxNumSeqs?: number;
  /** Default 10,000; newcomers beyond it are refused. */
  readonly maxQueuedRequests?: number;
}

export interface ServingRun {
  readonly instance: SimulatedInstance;
  readonly limits: ServingLimits;
  /** In the order of arrival. */
  readonly requests: Iterable<SimulatedRequest>;
  /** Arrivals after it are left out. */
  readonly durationS: number;
  /** Nothing before it is in the report's rates and times. Default 0. */
  readonly warmUpS?: number;
  /** Longest time after the last arrival. Default 600. */
  readonly drainS?: number;
  /** Default fcfs. */
  readonly policy?: SchedulerPolicy;
  /** Also what the policy is told that each request wants. */
  readonly targets?: ServingTargets;
  readonly faults?: Faults;
  /** Default 240. */
  readonly samples?: number;
  /** Events of the workers to keep for a picture: the newest. Default 0. */
  readonly timelineEvents?: number;
}
