import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../../../src/graph/builder.js';
import type { Routes, Value } from '../../../src/graph/ops.js';

const shared = new GraphBuilder('prologue').embed('table', { vocab: 10, hidden: 8 });
const heads = { heads: 2, kvHeads: 1, headSize: 4, scale: 0.5 };

function fresh(): { g: GraphBuilder; residual: Value } {
  return { g: new GraphBuilder('layer 3', [shared]), residual: shared };
}

function refusal(build: (g: GraphBuilder, residual: Value) => unknown): string {
  const { g, residual } = fresh();
  try {
    build(g, residual);
  } catch (error) {
    expect(error).toMatchObject({ name: 'BackendError', code: 'ERR_SHAPE' });
    return (error as Error).message;
  }
  throw new Error('nothing was thrown');
}

function route(g: GraphBuilder, x: Value): Routes {
  const options = { experts: 4, topK: 2, score: 'softmax', renormalize: true } as const;
  return g.router(x, 'router', options);
}

const expertOptions = {
  count: 4,
  width: 6,
  activation: 'silu',
  weights: (expert: number) => ({ gate: `g${expert}`, up: `u${expert}`, down: `d${expert}` }),
} as const;

describe('GraphBuilder', () => {
  it('gives every op the shape its inputs call for', () => {
    const { g, residual } = fresh();
    const norm = g.rmsNorm(residual, 'n', 1e-5);
    const q = g.rope(g.linear(norm, 'q', 8), { headSize: 4, theta: 100 });
    const k = g.qkNorm(g.linear(norm, 'k', 4), 'kn', { headSize: 4, epsilon: 1e-5 });
    const attention = g.pagedAttention(q, k, g.linear(norm, 'v', 4), heads);
    const routes = route(g, norm);
    const experts = g.experts(norm, routes, expertOptions);
    const logits = g.lmHead(norm, 'head', 10);
    expect(q.shape).toEqual(['tokens', 8]);
    expect(k.shape).toEqual(['tokens', 4]);
    expect(attention.shape).toEqual(['tokens', 8]);
    expect([routes.expertIds.shape, routes.weights.shape]).toEqual([
      ['tokens', 2],
      ['tokens', 2],
    ]);
    expect([experts.shape, experts.dtype]).toEqual([['tokens', 8], 'f32']);
    expect([logits.shape, logits.dtype]).toEqual([['logitsRows', 10], 'f32']);
  });

  it('gives every weight the shape its op needs', () => {
    const { g, residual } = fresh();
    const norm = g.rmsNorm(residual, 'n', 1e-5);
    g.linear(norm, 'w', 5, { bias: 'b' });
    g.experts(norm, route(g, norm), expertOptions);
    const nodes = g.build().nodes;
    expect(nodes).toContainEqual(
      expect.objectContaining({
        weight: { name: 'w', shape: [5, 8] },
        bias: { name: 'b', shape: [5] },
      }),
    );
    expect(nodes.find((node) => node.op === 'experts')?.experts[3]).toEqual({
      gate: { name: 'g3', shape: [6, 8] },
      up: { name: 'u3', shape: [6, 8] },
      down: { name: 'd3', shape: [8, 6] },
    });
  });

  it('puts keys and values into pages before it attends over them', () => {
    const { g, residual } = fresh();
    const kv = g.linear(residual, 'kv', 4);
    g.pagedAttention(g.linear(residual, 'q', 8), kv, kv, heads);
    expect(
      g
        .build()
        .nodes.map(({ op }) => op)
        .slice(-2),
    ).toEqual(['kvAppend', 'pagedAttention']);
  });

  it.each<[string, (g: GraphBuilder, residual: Value) => unknown, readonly string[]]>([
    [
      'a sum of different widths',
      (g, residual) => {
        g.addTo(residual, g.linear(residual, 'w', 5));
      },
      ['op addTo', '[tokens, 8]', '[tokens, 5]'],
    ],
    [
      'a sum into anything but f32',
      (g, residual) => {
        g.addTo(g.linear(residual, 'w', 8), residual);
      },
      ['op addTo', 'activation', 'f32'],
    ],
    [
      'gate and up of different widths',
      (g, residual) => g.swiglu(g.linear(residual, 'a', 5), g.linear(residual, 'b', 6)),
      ['op swiglu', '[tokens, 5]', '[tokens, 6]'],
    ],
    [
      'queries of a wrong width',
      (g, residual) => {
        const kv = g.linear(residual, 'kv', 4);
        return g.pagedAttention(kv, kv, kv, heads);
      },
      ['op pagedAttention q', '[tokens, 8]', '[tokens, 4]'],
    ],
    [
      'values of a wrong width',
      (g, residual) =>
        g.pagedAttention(residual, g.linear(residual, 'k', 4), g.linear(residual, 'v', 3), heads),
      ['op pagedAttention v', '[tokens, 4]', '[tokens, 3]'],
    ],
    [
      'heads that do not share KV heads evenly',
      (g, residual) => {
        const kv = g.linear(residual, 'kv', 6);
        const q = g.linear(residual, 'q', 10);
        return g.pagedAttention(q, kv, kv, { heads: 5, kvHeads: 3, headSize: 2, scale: 1 });
      },
      ['op pagedAttention', '5 heads', '3 KV heads'],
    ],
    [
      'a width that is not whole heads',
      (g, residual) => g.qkNorm(residual, 'n', { headSize: 3, epsilon: 1 }),
      ['op qkNorm', '[tokens, 8]', 'heads of 3'],
    ],
    [
      'rotation of an odd head size',
      (g, residual) => g.rope(g.linear(residual, 'w', 9), { headSize: 3, theta: 1 }),
      ['op rope', 'head size 3'],
    ],
    [
      'more chosen experts than there are',
      (g, residual) =>
        g.router(residual, 'r', { experts: 2, topK: 3, score: 'softmax', renormalize: true }),
      ['op router', '3 of 2'],
    ],
    [
      'experts that are not those of the router',
      (g, residual) => g.experts(residual, route(g, residual), { ...expertOptions, count: 3 }),
      ['op experts', 'among 4', 'are 3'],
    ],
    [
      'routes of another graph',
      (g, residual) => g.experts(residual, route(fresh().g, residual), expertOptions),
      ['op experts', 'routes are not of this graph'],
    ],
    [
      'values of another graph',
      (g, residual) => g.rmsNorm(fresh().g.linear(residual, 'w', 5), 'n', 1),
      ['op rmsNorm', 'linear [tokens, 5]', 'another graph'],
    ],
    [
      'logits as input of a layer',
      (g, residual) => g.linear(g.lmHead(residual, 'h', 10), 'w', 2),
      ['op linear', '[tokens, width]', '[logitsRows, 10]'],
    ],
  ])('refuses %s', (_, build, words) => {
    const message = refusal(build);
    expect(message).toContain('Graph layer 3');
    for (const word of words) expect(message).toContain(word);
  });
});
