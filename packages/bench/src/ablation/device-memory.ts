import { parameterCount, type ModelGraph } from '@megascale/core';

export interface Pools {
  readonly attentionWorkers: number;
  readonly expertWorkers: number;
}

/** Bytes of weights (bf16), and of keys and values, that a deployment keeps. */
export interface ModelBytes {
  readonly weights: number;
  /** Of the experts alone. */
  readonly expertWeights: number;
  readonly kvPerToken: number;
}

const elementBytes = 2;

export function modelBytes(model: ModelGraph): ModelBytes {
  const experts = model.layers.flatMap(({ nodes }) =>
    nodes.flatMap((node) => (node.op === 'experts' ? [node] : [])),
  );
  const expertElements = experts.reduce(
    (sum, node) => sum + node.experts.length * 3 * node.width * model.sizes.hiddenSize,
    0,
  );
  const { layerCount, kvHeadCount, headSize } = model.sizes;
  return {
    weights: parameterCount(model).total * elementBytes,
    expertWeights: expertElements * elementBytes,
    kvPerToken: 2 * layerCount * kvHeadCount * headSize * elementBytes,
  };
}

/**
 * How many times the keys and values of M + N colocated workers fit in M attention workers of equal
 * memory each. A colocated worker holds all weights and its share of the KV pages; an attention
 * worker holds no experts. Below 1 where the N expert workers' memory is worth more as KV pages
 * than what the attention workers save.
 *
 * `kvBytes`: of all colocated workers together.
 */
export function kvCapacityRatio(
  { attentionWorkers, expertWorkers }: Pools,
  { weights, expertWeights }: ModelBytes,
  kvBytes: number,
): number {
  const device = weights + kvBytes / (attentionWorkers + expertWorkers);
  return (attentionWorkers * (device - (weights - expertWeights))) / kvBytes;
}
