import { ConfigError, expertRank, type LayerPlacement } from '@megascale/core';

/**
 * Gives each expert of a layer to `replicas` ranks. With one replica the ranks hold equal
 * contiguous runs: expert e is on rank ⌊e·N/E⌋. With more, expert e is on rank e mod N and on the
 * ranks after it, around the end: `RowSplitter` goes through the experts in ascending order and so
 * visits all ranks in turn; contiguous runs would let it fill the first ranks first.
 *
 * @returns [expertCount] the ranks that hold each expert.
 * @throws ConfigError 'ERR_CONFIG_FIELD' when there are more ranks than experts, or more replicas
 *   than ranks.
 */
export function uniformPlacement(
  expertCount: number,
  expertWorkerCount: number,
  replicas = 1,
): LayerPlacement {
  if (expertWorkerCount > expertCount) {
    throw new ConfigError('ERR_CONFIG_FIELD', {
      message:
        `${String(expertWorkerCount)} expert workers for ${String(expertCount)} experts: ` +
        `at least one would hold none. Use at most ${String(expertCount)}.`,
      details: { expertCount, expertWorkerCount },
    });
  }
  if (replicas > expertWorkerCount) {
    throw new ConfigError('ERR_CONFIG_FIELD', {
      message:
        `${String(replicas)} replicas of every expert on ${String(expertWorkerCount)} expert ` +
        'workers: a worker would hold an expert twice. ' +
        'Use at most as many replicas as expert workers.',
      details: { path: 'expertReplicas', replicas, expertWorkerCount },
    });
  }
  return Array.from({ length: expertCount }, (_, expert) => {
    const first = replicas > 1 ? expert : Math.floor((expert * expertWorkerCount) / expertCount);
    return Array.from({ length: replicas }, (__, replica) =>
      expertRank((first + replica) % expertWorkerCount),
    );
  });
}
