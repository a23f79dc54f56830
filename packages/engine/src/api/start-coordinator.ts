import { partition, type ModelGraph, type WeightSource } from '@megascale/core';
import type { EngineConfig } from '../config/engine-config.js';
import type { ParsedOptions } from '../config/options.js';
import { Coordinator } from '../coordinator/coordinator.js';
import { balanceOpener } from '../placement/open-balance.js';
import type { LoadHooks } from './load-hooks.js';

export interface StartParts {
  /** An absolute path. */
  readonly modelDirectory: string;
  readonly graph: ModelGraph;
  readonly weights: WeightSource;
  readonly options: ParsedOptions;
  readonly config: EngineConfig;
}

/**
 * Starts the workers of a model and the coordinator before them, and passes on what happens as
 * events.
 */
export async function startCoordinator(
  { modelDirectory, graph, weights, options, config }: StartParts,
  { onEvent, workerFile }: LoadHooks,
): Promise<Coordinator> {
  const total = config.attentionWorkers + (config.colocated ? 0 : config.expertWorkers);
  let ready = 0;
  onEvent?.({ type: 'workers-starting', total, weightBytes: bytesOf(weights) });
  return Coordinator.start({
    config,
    modelDirectory,
    workerFile: workerFile ?? new URL('./worker-process-main.js', import.meta.url),
    expertCount: graph.sizes.expertCount,
    layerCount: partition(graph).attention.stages.length,
    restartsMax: options.restartsMax,
    openBalance: balanceOpener(options, config, graph, {
      onMoved: (move) => {
        onEvent?.({ type: 'experts-moved', move });
      },
      onMoveFailed: (error) => {
        onEvent?.({ type: 'experts-not-moved', error });
      },
    }),
    onReady: ({ role, rank }) => {
      ready += 1;
      onEvent?.({ type: 'worker-ready', role, rank, ready, total });
    },
    onPolicyFailed: (error) => {
      onEvent?.({ type: 'policy-failed', error });
    },
    onLost: (error) => {
      ready = 0;
      onEvent?.({ type: 'worker-lost', error });
    },
  });
}

/** Returns the bytes of all tensors of a checkpoint. */
function bytesOf({ tensors }: WeightSource): number {
  return [...tensors.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
}
