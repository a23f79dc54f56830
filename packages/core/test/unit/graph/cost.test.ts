import { describe, expect, it } from 'vitest';
import { tinyMixtral, tinyQwen3Moe } from '../../../src/testing/backend/tiny-models.js';
import { buildModelGraph } from '../../../src/families/registry.js';
import { GraphBuilder } from '../../../src/graph/builder.js';
import {
  costOf,
  costOfAttentionStage,
  costOfCombine,
  costOfExpertStage,
  costOfModel,
  costOfNodes,
  parameterCount,
} from '../../../src/graph/cost.js';
import { decodeWorkload, keysOfChunk, type Workload } from '../../../src/graph/workload.js';
import type { GraphNode } from '../../../src/graph/ops.js';
import { partition } from '../../../src/graph/partition.js';

/** Sizes that make every product easy to follow: 3 tokens, hidden 8. */
const work: Workload = {
  tokens: 3,
  logitsRows: 2,
  keysSeen: 30,
  keysRead: 12,
  routedRows: 6,
  expertsTouched: 4,
  weightElementBytes: 2,
  activationElementBytes: 2,
  kvElementBytes: 2,
};

/** The last node that `build` adds to a graph with a residual [tokens, 8]. */
function nodeOf(build: (g: GraphBuilder, x: ReturnType<GraphBuilder['embed']>) => void): GraphNode {
  const g = new GraphBuilder('test');
  build(g, g.embed('table', { vocab: 10, hidden: 8 }));
  const node = g.build().nodes.at(-1);
  if (node === undefined) throw new Error('no node');
  return node;
}

describe('costOf', () => {
  it.each<[string, GraphNode, readonly [number, number, number, number]]>([
    // [FLOPs, weight bytes, activation bytes, KV bytes]
    ['embed', nodeOf(() => undefined), [0, 3 * 8 * 2, 3 * 8 * 4, 0]],
    [
      'rmsNorm',
      nodeOf((g, x) => g.rmsNorm(x, 'n', 1)),
      [3 * (4 * 8 + 4), 8 * 2, 3 * 8 * (4 + 2), 0],
    ],
    [
      'linear',
      nodeOf((g, x) => g.linear(x, 'w', 5)),
      [3 * 2 * 8 * 5, 8 * 5 * 2, 3 * (8 * 4 + 5 * 2), 0],
    ],
    [
      'linear with bias',
      nodeOf((g, x) => g.linear(x, 'w', 5, { bias: 'b' })),
      [3 * (2 * 8 * 5 + 5), (8 * 5 + 5) * 2, 3 * (8 * 4 + 5 * 2), 0],
    ],
    [
      'qkNorm: two heads of 4',
      nodeOf((g, x) => g.qkNorm(x, 'n', { headSize: 4, epsilon: 1 })),
      [3 * 2 * (4 * 4 + 4), 4 * 2, 3 * 8 * (4 + 2), 0],
    ],
    [
      'rope',
      nodeOf((g, x) => g.rope(x, { headSize: 4, theta: 1 })),
      [3 * 3 * 8, 0, 3 * 8 * (4 + 2), 0],
    ],
    [
      'pagedAttention: two heads of 4 over one',
      nodeOf((g, x) => {
        const kv = g.linear(x, 'kv', 4);
        g.pagedAttention(x, kv, kv, { heads: 2, kvHeads: 1, headSize: 4, scale: 1 });
      }),
      [2 * (30 * (4 * 4 + 4) + 3 * 4), 0, 3 * 8 * (4 + 2), 12 * 2 * 4 * 2],
    ],
    [
      'addTo',
      nodeOf((g, x) => {
        g.addTo(x, x);
      }),
      [3 * 8, 0, 3 * 8 * (4 + 4 + 4), 0],
    ],
    ['swiglu', nodeOf((g, x) => g.swiglu(x, x)), [3 * 8 * 4, 0, 3 * 8 * (4 + 4 + 2), 0]],
    [
      'router, softmax over 4 renormalized to 2',
      nodeOf((g, x) =>
        g.router(x, 'r', { experts: 4, topK: 2, score: 'softmax', renormalize: true }),
      ),
      [3 * (2 * 8 * 4 + 4 * 4 + 2 * 2), 4 * 8 * 2, 3 * (8 * 4 + 2 * 4 + 2 * 4), 0],
    ],
    [
      'router, sigmoid of each of 4, scaled',
      nodeOf((g, x) =>
        g.router(x, 'r', { experts: 4, topK: 2, score: 'sigmoid', renormalize: false, scale: 3 }),
      ),
      [3 * (2 * 8 * 4 + 3 * 4 + 2), 4 * 8 * 2, 3 * (8 * 4 + 2 * 4 + 2 * 4), 0],
    ],
    [
      'experts: 6 rows, 4 experts of 4 touched',
      nodeOf((g, x) => {
        const options = { experts: 4, topK: 2, score: 'softmax', renormalize: true } as const;
        g.experts(x, g.router(x, 'r', options), {
          count: 4,
          width: 5,
          activation: 'silu',
          weights: () => ({ gate: 'g', up: 'u', down: 'd' }),
        });
      }),
      [6 * (3 * 2 * 8 * 5 + 4 * 5), 4 * 3 * 8 * 5 * 2, 6 * (8 + 8) * 2, 0],
    ],
    [
      'lmHead of 2 rows',
      nodeOf((g, x) => g.lmHead(x, 'h', 10)),
      [2 * 2 * 8 * 10, 8 * 10 * 2, 2 * (8 * 4 + 10 * 4), 0],
    ],
  ])('%s', (_, node, [flops, weightBytes, activationBytes, kvBytes]) => {
    expect(costOf(node, work)).toEqual({ flops, weightBytes, activationBytes, kvBytes });
  });

  it('counts keys and values that are written', () => {
    const g = new GraphBuilder('test');
    const x = g.embed('table', { vocab: 10, hidden: 8 });
    g.pagedAttention(x, x, x, { heads: 2, kvHeads: 2, headSize: 4, scale: 1 });
    const append = g.build().nodes.find(({ op }) => op === 'kvAppend');
    expect(append && costOf(append, work)).toEqual({
      flops: 0,
      weightBytes: 0,
      activationBytes: 3 * (8 + 8) * 4,
      kvBytes: 3 * (8 + 8) * 2,
    });
  });
});

describe('sums', () => {
  const model = tinyQwen3Moe().graph;
  const { attention, expert } = partition(model);
  const halves = decodeWorkload(model, { sequences: 5, contextTokens: 40 });

  it('combine multiplies and adds every answered element', () => {
    const [stage] = attention.stages;
    if (stage === undefined) throw new Error('no stage');
    expect(costOfCombine(stage, halves)).toEqual({
      flops: 5 * 4 * 96 * 2,
      weightBytes: 0,
      activationBytes: 5 * 4 * 96 * 2 + 2 * 5 * 96 * 4 + 2 * 5 * 4 * 4,
      kvBytes: 0,
    });
  });

  it('the model is its ends and its halves', () => {
    const parts = [
      costOfNodes(attention.prologue, halves),
      ...attention.stages.map((stage) => costOfAttentionStage(stage, halves)),
      ...expert.stages.map((node) => costOfExpertStage(node, halves)),
      costOfNodes(attention.epilogue, halves),
    ];
    const model5 = costOfModel(model, halves);
    for (const field of ['flops', 'weightBytes', 'activationBytes', 'kvBytes'] as const) {
      expect(parts.reduce((total, part) => total + part[field], 0)).toBeCloseTo(model5[field], 6);
    }
  });

  it('a token of decode reads its whole context in every layer, and writes one key and value', () => {
    const one = costOfModel(model, decodeWorkload(model, { sequences: 1, contextTokens: 40 }));
    expect(one.kvBytes).toBe(3 * (40 + 1) * 2 * 32 * 2);
  });

  it('Mixtral 8x7B takes about two FLOPs per active parameter that multiplies', () => {
    const mixtral = buildModelGraph({
      ...tinyMixtral().config,
      hidden_size: 4096,
      intermediate_size: 14336,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      num_key_value_heads: 8,
      vocab_size: 32000,
      sliding_window: null,
    });
    const work0 = decodeWorkload(mixtral, { sequences: 1, contextTokens: 0 });
    const multiplying = parameterCount(mixtral).active - 32000 * 4096;
    expect(costOfModel(mixtral, work0).flops / (2 * multiplying)).toBeCloseTo(1, 2);
  });
});

describe('decodeWorkload', () => {
  const { graph } = tinyMixtral();
  it.each([
    [1, 2],
    [2, 8 * (1 - 0.75 ** 2)],
    [1000, 8],
  ])('%i sequences touch %d of 8 experts in the mean', (sequences, touched) => {
    const { expertsTouched, routedRows } = decodeWorkload(graph, { sequences, contextTokens: 1 });
    expect(expertsTouched).toBeCloseTo(touched, 9);
    expect(routedRows).toBe(2 * sequences);
  });
});

describe('keysOfChunk', () => {
  it.each([
    ['the first token', { firstPosition: 0, tokens: 1 }, undefined, 1, 1],
    ['a whole prompt of 4', { firstPosition: 0, tokens: 4 }, undefined, 1 + 2 + 3 + 4, 4],
    ['decode at position 9', { firstPosition: 9, tokens: 1 }, undefined, 10, 10],
    ['a chunk of 2 from 3', { firstPosition: 3, tokens: 2 }, undefined, 4 + 5, 5],
    ['decode in a window of 4', { firstPosition: 9, tokens: 1 }, 4, 4, 4],
    ['a chunk of 3 in a window of 4', { firstPosition: 9, tokens: 3 }, 4, 12, 6],
    ['a chunk that outgrows a window of 2', { firstPosition: 0, tokens: 3 }, 2, 1 + 2 + 2, 3],
    ['no tokens', { firstPosition: 5, tokens: 0 }, undefined, 0, 0],
  ])('%s', (_, chunk, window, keysSeen, keysRead) => {
    expect(keysOfChunk(chunk, window)).toEqual({ keysSeen, keysRead });
  });
});
