import {
  GraphBuilder,
  type Graph,
  type GraphNode,
  type ModelGraph,
  type ModelSizes,
  type OpName,
  type Value,
} from '@megascale/core';

export interface OpModelSizes {
  /** heads × headSize. */
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly experts: number;
  readonly topK: number;
  readonly width: number;
  readonly vocab: number;
  readonly window?: number;
}

/** Makes the value that the op model's message is, from normed hidden states [tokens, hidden]. */
export type OpUnderTest = (
  g: GraphBuilder,
  x: { readonly residual: Value; readonly normed: Value },
  s: OpModelSizes & { readonly hidden: number },
) => Value;

/**
 * One op each, with as little around it as a program needs; its output is the message, which a test
 * can read.
 */
export const opsUnderTest = {
  rmsNorm: (_, { normed }) => normed,
  linear: (g, { normed }, s) =>
    g.linear(normed, 'linear.weight', s.hidden, { bias: 'linear.bias' }),
  qkNorm: (g, { normed }, s) =>
    g.qkNorm(normed, 'qk.weight', { headSize: s.headSize, epsilon: 1e-6 }),
  rope: (g, { normed }, s) => g.rope(normed, { headSize: s.headSize, theta: 10000 }),
  pagedAttention: (g, { normed }, s) => {
    const { heads, kvHeads, headSize, window } = s;
    const k = g.linear(normed, 'k.weight', kvHeads * headSize);
    const v = g.linear(normed, 'v.weight', kvHeads * headSize);
    const options = { heads, kvHeads, headSize, scale: headSize ** -0.5 };
    return g.pagedAttention(normed, k, v, window === undefined ? options : { ...options, window });
  },
  addTo: (g, { residual, normed }, s) => {
    g.addTo(residual, g.linear(normed, 'linear.weight', s.hidden));
    return g.rmsNorm(residual, 'second.weight', 1e-6);
  },
  swiglu: (g, { normed }, s) =>
    g.swiglu(g.linear(normed, 'gate.weight', s.hidden), g.linear(normed, 'up.weight', s.hidden)),
} as const satisfies Partial<Record<OpName, OpUnderTest>>;

/** embed → rmsNorm → the op → router and experts → lmHead, in one layer. */
export function opModel(op: OpUnderTest, sizes: OpModelSizes): ModelGraph {
  const { heads, headSize, experts, topK, width, vocab } = sizes;
  const hidden = heads * headSize;
  const prologue = new GraphBuilder('prologue');
  const residual = prologue.embed('embed.weight', { vocab, hidden });
  const layer = new GraphBuilder('layer', [residual]);
  const normed = layer.rmsNorm(residual, 'norm.weight', 1e-6);
  const message = op(layer, { residual, normed }, { ...sizes, hidden });
  const routes = layer.router(message, 'router.weight', {
    experts,
    topK,
    score: 'sigmoid',
    renormalize: false,
    scale: 0.5,
  });
  const answers = layer.experts(message, routes, {
    count: experts,
    width,
    activation: 'silu',
    weights: (expert) => ({
      gate: `experts.${expert}.gate.weight`,
      up: `experts.${expert}.up.weight`,
      down: `experts.${expert}.down.weight`,
    }),
  });
  layer.addTo(residual, answers);
  const epilogue = new GraphBuilder('epilogue', [residual]);
  epilogue.lmHead(epilogue.rmsNorm(residual, 'last.weight', 1e-6), 'head.weight', vocab);
  return {
    family: 'op-model',
    sizes: modelSizes(sizes, hidden),
    prologue: prologue.build(),
    layers: [layer.build()],
    epilogue: epilogue.build(),
  };
}

/** The names of all ops that a model uses. */
export function opNames(model: ModelGraph): ReadonlySet<OpName> {
  const graphs: readonly Graph[] = [model.prologue, ...model.layers, model.epilogue];
  return new Set(graphs.flatMap((graph) => graph.nodes.map((node: GraphNode) => node.op)));
}

function modelSizes(sizes: OpModelSizes, hidden: number): ModelSizes {
  return {
    layerCount: 1,
    hiddenSize: hidden,
    vocabSize: sizes.vocab,
    headCount: sizes.heads,
    kvHeadCount: sizes.kvHeads,
    headSize: sizes.headSize,
    expertCount: sizes.experts,
    topK: sizes.topK,
    expertWidth: sizes.width,
    positionsMax: 512,
  };
}
