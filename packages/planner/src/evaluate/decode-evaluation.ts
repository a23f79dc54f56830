import type { StageTimes } from '@megascale/scheduler';
import type { Deployment, Pool } from '../deployment/deployment.js';

/** What a deployment does in decode with this many sequences at a time. */
export interface DecodeEvaluation {
  /** B: sequences of the whole instance that get a token in each step. */
  readonly batch: number;
  readonly contextTokens: number;
  /** Of one micro-batch at one layer. */
  readonly times: StageTimes;
  /** One step: the time from token to token. */
  readonly stepUs: number;
  readonly tokensPerSecond: number;
  readonly hardware: HardwareTotals;
  readonly tokensPerSecondPerPrice: number;
  readonly tokensPerSecondPerAccelerator: number;
  readonly tokensPerSecondPerWatt: number;
  /** Of each kind of worker. */
  readonly memory: readonly MemoryUse[];
  readonly work: MicroBatchWork;
}

/** One micro-batch, on one worker of each pool. */
export interface MicroBatchWork {
  readonly tokensPerAttentionWorker: number;
  readonly rowsPerExpertWorker: number;
  readonly distinctExpertsPerWorker: number;
  /** The larger of dispatch and combine. */
  readonly bytesPerAttentionWorker: number;
  readonly bytesPerExpertWorker: number;
}

export interface HardwareTotals {
  readonly accelerators: number;
  readonly price: number;
  readonly watts: number;
}

export interface MemoryUse {
  readonly pool: 'attention' | 'expert' | 'all';
  readonly weightBytes: number;
  readonly kvBytes: number;
  /** What weights and KV pages may take. */
  readonly usableBytes: number;
}

export interface Objective {
  readonly batch: number;
  readonly contextTokens: number;
}

export function poolsOf(deployment: Deployment): readonly Pool[] {
  return deployment.kind === 'colocated'
    ? [deployment.pool]
    : [deployment.attention, deployment.expert];
}

export function hardwareTotals(deployment: Deployment): HardwareTotals {
  const totals = { accelerators: 0, price: 0, watts: 0 };
  for (const { accelerator, tensorParallel, workers } of poolsOf(deployment)) {
    const count = tensorParallel * workers;
    totals.accelerators += count;
    totals.price += count * accelerator.price;
    totals.watts += count * accelerator.watts;
  }
  return totals;
}

export function rated(
  batch: number,
  stepUs: number,
  hardware: HardwareTotals,
): Pick<
  DecodeEvaluation,
  | 'tokensPerSecond'
  | 'tokensPerSecondPerPrice'
  | 'tokensPerSecondPerAccelerator'
  | 'tokensPerSecondPerWatt'
> {
  const tokensPerSecond = (batch / stepUs) * 1e6;
  return {
    tokensPerSecond,
    tokensPerSecondPerPrice: tokensPerSecond / hardware.price,
    tokensPerSecondPerAccelerator: tokensPerSecond / hardware.accelerators,
    tokensPerSecondPerWatt: tokensPerSecond / hardware.watts,
  };
}
