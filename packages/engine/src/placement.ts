import { ConfigError, expertRank, type Placement } from '@megascale/core';

/**
 * Gives each expert to one rank, in equal contiguous runs: rank r holds the experts e with ⌊e·N/E⌋ = r.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' when there are more ranks than experts.
 */
export function evenPlacement(expertCount: number, expertWorkerCount: number): Placement {
  if (expertWorkerCount > expertCount) {
    throw new ConfigError('ERR_CONFIG_FIELD', {
      message: `${String(expertWorkerCount)} expert workers for ${String(expertCount)} experts: at least one would hold none. Use at most ${String(expertCount)}.`,
      details: { expertCount, expertWorkerCount },
    });
  }
  return Array.from({ length: expertCount }, (_, expert) => [
    expertRank(Math.floor((expert * expertWorkerCount) / expertCount)),
  ]);
}
