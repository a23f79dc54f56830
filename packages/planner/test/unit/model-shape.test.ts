import { buildModelGraph, costOfModel, decodeWorkload, randomConfig } from '@megascale/core';
import { describe, expect, it } from 'vitest';
import { attentionWeightBytes, expertWeightBytes } from '../../src/model/model-shape.js';
import { deriveModelShape, namedModels } from '../../src/index.js';

describe('deriveModelShape', () => {
  it('counts what the graph counts, for any batch and context', () => {
    const graph = buildModelGraph(
      randomConfig({
        family: 'qwen3-moe',
        hidden: 64,
        layers: 6,
        experts: 8,
        topK: 2,
        expertWidth: 32,
        heads: 4,
        kvHeads: 2,
        vocab: 128,
        mlpOnlyLayers: [0, 3],
      }),
    );
    const shape = deriveModelShape('tiny', graph);
    expect(shape.layerCount).toBe(4);
    for (const [sequences, contextTokens] of [
      [1, 1],
      [7, 100],
      [64, 650.5],
    ] as const) {
      const work = decodeWorkload(graph, { sequences, contextTokens });
      const exact = costOfModel(graph, work);
      const { attention, expert, edge, layerCount } = shape;
      const flops =
        layerCount *
          (sequences * attention.flopsPerToken +
            work.keysSeen * attention.flopsPerKeySeen +
            work.routedRows * expert.flopsPerRow) +
        sequences * edge.flopsPerToken;
      expect(flops).toBeCloseTo(exact.flops, 3);
      const weights =
        layerCount * (attention.weightBytes + work.expertsTouched * expert.weightBytes) +
        edge.weightBytesRead;
      // The embedding's row of each token counts as a weight there, as an activation here.
      expect(weights + sequences * 64 * 2).toBeCloseTo(exact.weightBytes, 3);
    }
  });

  it.each(namedModels.map((model) => [model.name, model] as const))(
    '%s keeps all its parameters in the two pools',
    (_name, model) => {
      const shape = model.shape();
      const bytes = attentionWeightBytes(shape) + shape.expertCount * expertWeightBytes(shape);
      const elementBytes = shape.computeDType === 'fp8' ? 1 : 2;
      // DeepSeek-V3 keeps embedding and head in bf16.
      const edge = shape.edge.weightBytes * (elementBytes === 1 ? 0.5 : 0);
      expect(bytes - edge).toBeCloseTo(shape.parameterCount * elementBytes, -3);
    },
  );

  it.each(namedModels.map((model) => [model.name, model] as const))(
    '%s takes weights, keys and values of other sizes',
    (_name, { shape }) => {
      const [wide, narrow] = [shape({ weight: 2, kv: 2 }), shape({ weight: 0.5, kv: 1 })];
      expect(wide.expert.weightBytes).toBe(4 * narrow.expert.weightBytes);
      expect(wide.kvBytesPerToken).toBe(2 * narrow.kvBytesPerToken);
      expect(wide.attention.kvBytesPerKeyRead).toBe(2 * narrow.attention.kvBytesPerKeyRead);
      expect(wide.parameterCount).toBe(narrow.parameterCount);
      expect(wide.computeDType).toBe('bf16');
    },
  );

  it('knows the public sizes of the named models, in billions of parameters', () => {
    const billions = Object.fromEntries(
      namedModels.map(({ name, shape }) => [name, Math.round(shape().parameterCount / 1e9)]),
    );
    expect(billions).toEqual({
      'mixtral-8x22b': 141,
      dbrx: 132,
      'scaled-moe': 317,
      'mixtral-8x7b': 47,
      'qwen3-235b-a22b': 235,
      'qwen3-30b-a3b': 31,
      'deepseek-v3': 671,
    });
  });
});
