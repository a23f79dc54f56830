import { describe, expect, it } from 'vitest';
import { tinyMixtral, tinyQwen3Moe } from '../../../src/testing/backend/tiny-models.js';
import { GraphBuilder } from '../../../src/graph/builder.js';
import type { ModelGraph, Value } from '../../../src/graph/ops.js';
import { partition } from '../../../src/graph/partition.js';

const opsOf = (nodes: readonly { readonly op: string }[]): readonly string[] =>
  nodes.map(({ op }) => op);
/** The tensor names of these layers, by number. */
const layersOf = (nodes: readonly unknown[]): readonly number[] => {
  const names = JSON.stringify(nodes).matchAll(/model\.layers\.(\d+)\./g);
  return [...new Set([...names].map(([, layer]) => Number(layer)))];
};
const qwen = (mlp_only_layers: readonly number[]): ModelGraph =>
  tinyQwen3Moe({ config: { num_hidden_layers: 5, mlp_only_layers } }).graph;

describe('partition', () => {
  it('cuts a layer at its experts: the router ends the attention half', () => {
    const { attention, expert } = partition(tinyMixtral().graph);
    expect(opsOf(attention.prologue)).toEqual(['embed']);
    expect(attention.stages).toHaveLength(2);
    for (const [layer, stage] of attention.stages.entries()) {
      expect(opsOf(stage.attend).slice(-4)).toEqual(['linear', 'addTo', 'rmsNorm', 'router']);
      expect(stage.attend.at(-1)).toBe(stage.router);
      expect(stage.message).toBe(expert.stages[layer]?.x);
      expect(stage.residual).toBe(
        attention.prologue[0]?.op === 'embed' && attention.prologue[0].out,
      );
    }
    expect(opsOf(attention.epilogue)).toEqual(['rmsNorm', 'lmHead']);
    expect(opsOf(expert.stages)).toEqual(['experts', 'experts']);
  });

  it('gives a dense layer to the routed layer after it', () => {
    const { attention, expert } = partition(qwen([0, 2, 3]));
    expect(attention.stages.map(({ attend }) => layersOf(attend))).toEqual([
      [0, 1],
      [2, 3, 4],
    ]);
    expect(expert.stages.map((node) => layersOf([node]))).toEqual([[1], [4]]);
  });

  it('gives the last dense layers to the epilogue', () => {
    const { attention, expert } = partition(qwen([3, 4]));
    expect(attention.stages).toHaveLength(3);
    expect(expert.stages).toHaveLength(3);
    expect(layersOf(attention.epilogue)).toEqual([3, 4]);
    expect(opsOf(attention.epilogue).slice(-2)).toEqual(['rmsNorm', 'lmHead']);
  });

  it('leaves a model without routed layers in one piece', () => {
    const { attention, expert } = partition(qwen([0, 1, 2, 3, 4]));
    expect(attention.stages).toEqual([]);
    expect(expert.stages).toEqual([]);
    expect(layersOf(attention.epilogue)).toEqual([0, 1, 2, 3, 4]);
  });

  const model = tinyMixtral().graph;
  const routed = (
    build: (g: GraphBuilder, parts: { residual: Value; experts: Value }) => void,
  ): ModelGraph => {
    const prologue = new GraphBuilder('prologue');
    const residual = prologue.embed('table', { vocab: 160, hidden: 128 });
    const g = new GraphBuilder('layer 0', [residual]);
    const norm = g.rmsNorm(residual, 'n', 1);
    const options = { experts: 2, topK: 1, score: 'softmax', renormalize: true } as const;
    const experts = g.experts(norm, g.router(norm, 'r', options), {
      count: 2,
      width: 4,
      activation: 'silu',
      weights: () => ({ gate: 'g', up: 'u', down: 'd' }),
    });
    build(g, { residual, experts });
    return { ...model, prologue: prologue.build(), layers: [g.build()] };
  };

  it('lets other work read the residual between experts and sum: it runs before the cut', () => {
    const graph = routed((g, { residual, experts }) => {
      g.rmsNorm(residual, 'shared', 1);
      g.addTo(residual, experts);
    });
    const stage = partition(graph).attention.stages[0];
    expect(opsOf(stage?.attend ?? [])).toEqual(['rmsNorm', 'rmsNorm', 'router']);
  });

  it.each<[string, ModelGraph, string]>([
    [
      'two experts nodes',
      {
        ...model,
        layers: [
          {
            name: 'layer 0',
            nodes: [...(model.layers[0]?.nodes ?? []), ...(model.layers[1]?.nodes ?? [])],
          },
        ],
      },
      'more than one experts node',
    ],
    [
      'experts whose output goes nowhere',
      routed(() => undefined),
      'add the experts’ output to the residual',
    ],
    [
      'experts whose output goes elsewhere',
      routed((g, { residual, experts }) => {
        g.addTo(residual, g.linear(experts, 'w', 128));
      }),
      'add the experts’ output to the residual',
    ],
    [
      'a residual that changes before the sum',
      routed((g, { residual, experts }) => {
        const late = g.linear(g.rmsNorm(residual, 'n', 1), 'w', 128);
        g.addTo(residual, late);
        g.addTo(residual, experts);
      }),
      'changes the residual between the experts and their sum',
    ],
    [
      'a residual that is read after the sum',
      routed((g, { residual, experts }) => {
        g.addTo(residual, experts);
        g.rmsNorm(residual, 'late', 1);
      }),
      'uses the residual after',
    ],
  ])('refuses %s, naming the layer', (_, graph, words) => {
    expect(() => partition(graph)).toThrow(
      expect.objectContaining({
        code: 'ERR_CONFIG_FIELD',
        message: expect.stringMatching(new RegExp(`layer 0.*${words}`)) as string,
      }) as Error,
    );
  });
});
