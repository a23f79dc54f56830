import { partition, systemClock, type ModelGraph } from '@megascale/core';
import { ExpertBalance, type ExpertBalanceOptions } from './expert-balance.js';
import { LoadTraceFile } from './load-trace-file.js';
import type { EngineConfig } from '../config/engine-config.js';
import type { ParsedOptions } from '../config/options.js';

/** What the balance needs from the coordinator. */
export type BalanceLinks = Pick<ExpertBalanceOptions, 'placement' | 'move'>;

/** Backends keep 16 bits a weight unless the checkpoint has fewer: an upper bound of what moves. */
const bytesPerWeight = 2;

/**
 * Returns a function that opens the balance of experts; undefined where expert loads are neither
 * recorded nor balanced.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' when the trace file cannot be made.
 */
export function balanceOpener(
  { rebalance, expertLoadFile, expertLoadBytesMax }: ParsedOptions,
  config: EngineConfig,
  graph: ModelGraph,
  hooks: Pick<ExpertBalanceOptions, 'onMoved' | 'onMoveFailed'>,
): ((links: BalanceLinks) => ExpertBalance) | undefined {
  if (config.expertLoadWindowMs === 0) return undefined;
  const { expertCount, topK, hiddenSize, expertWidth } = graph.sizes;
  const header = { layerCount: partition(graph).attention.stages.length, expertCount, topK };
  const trace =
    expertLoadFile === undefined
      ? undefined
      : new LoadTraceFile(expertLoadFile, header, expertLoadBytesMax);
  const { expertWorkers, expertReplicas, splitRowsMin } = config;
  return (links) =>
    new ExpertBalance({
      ...header,
      expertWorkers,
      splitRowsMin,
      rebalance,
      trace,
      evenShare: Math.ceil(expertCount / expertWorkers) * expertReplicas,
      expertBytes: 3 * hiddenSize * expertWidth * bytesPerWeight,
      clock: systemClock,
      ...hooks,
      ...links,
    });
}
