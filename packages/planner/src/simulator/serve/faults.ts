import { ConfigError } from '@megascale/core';
import type { SimulatedInstance } from '../simulated-instance.js';

/** A worker that dies and is replaced. */
export interface WorkerFailure {
  readonly role: 'attention' | 'expert';
  readonly rank: number;
  readonly atS: number;
  /** Until it, or the one in its place, works again. */
  readonly recoveryS: number;
}

/** A worker that takes `factor` times as long for a while. */
export interface Straggler {
  readonly role: 'attention' | 'expert';
  readonly rank: number;
  readonly fromS: number;
  readonly forS: number;
  readonly factor: number;
}

export interface Faults {
  readonly failures?: readonly WorkerFailure[];
  readonly stragglers?: readonly Straggler[];
}

const faultsMax = 10_000;

/** @throws ConfigError 'ERR_CONFIG_FIELD'. */
export function checkFaults(
  { failures = [], stragglers = [] }: Faults,
  instance: Pick<SimulatedInstance, 'attentionWorkers' | 'expertWorkers'>,
): void {
  if (failures.length + stragglers.length > faultsMax) refuse(`more than ${faultsMax}`);
  for (const { role, rank } of [...failures, ...stragglers]) {
    const workers = role === 'attention' ? instance.attentionWorkers : instance.expertWorkers;
    if (!Number.isInteger(rank) || rank < 0 || rank >= workers) {
      refuse(`there is no ${role} worker ${rank}, of ${workers}`);
    }
  }
  for (const { atS, recoveryS } of failures) {
    if (!(atS >= 0 && recoveryS >= 0 && recoveryS < Infinity)) {
      refuse(`a failure at ${atS} s with a recovery of ${recoveryS} s`);
    }
  }
  for (const { fromS, forS, factor } of stragglers) {
    if (!(fromS >= 0 && forS >= 0 && factor > 0 && factor <= 1e6)) {
      refuse(`a worker that takes ${factor} times as long from ${fromS} s for ${forS} s`);
    }
  }
}

function refuse(finding: string): never {
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `Faults: ${finding}. Name workers of the instance and times from 0.`,
    details: { path: 'faults' },
  });
}
