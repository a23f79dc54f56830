/** A model graph as text, for people: one line per node, layers that are alike folded into one. */
import { costOf, parameterCount } from './cost.js';
import { type Workload } from './workload.js';
import { inputsOf, outputsOf, weightsOf } from './node-values.js';
import type { Graph, GraphNode, ModelGraph, Value, WeightRef } from './ops.js';

/** The whole model: its sizes, then every graph with shapes, weights and FLOPs per token. */
export function printModel(model: ModelGraph): string {
  const { sizes } = model;
  const { total, active } = parameterCount(model);
  const layers = foldLayers(model.layers).map(({ title, graph }) => printGraph(graph, title));
  return [
    `${model.family}: ${shortCount(total)} parameters, ${shortCount(active)} active per token`,
    `${sizes.layerCount} layers, hidden ${sizes.hiddenSize}, ${sizes.headCount} heads of ${sizes.headSize} over ${sizes.kvHeadCount} KV heads, ` +
      `top-${sizes.topK} of ${sizes.expertCount} experts ${sizes.expertWidth} wide, vocabulary ` +
      `${sizes.vocabSize}, ${sizes.positionsMax} positions`,
    '',
    printGraph(model.prologue),
    ...layers,
    printGraph(model.epilogue),
  ].join('\n');
}

/** One graph: a title and a line per node. */
export function printGraph(graph: Graph, title: string = graph.name): string {
  return [title, ...graph.nodes.map((node) => `  ${printNode(node)}`), ''].join('\n');
}

/** `%2 linear [tokens, 64] activation = linear(%1)  weight.name [64, 32]  4.10 k FLOPs/token`. */
function printNode(node: GraphNode): string {
  const out = outputsOf(node).map(describe).join(', ');
  const call = `${node.op}(${[...inputsOf(node).map(short), ...fieldsOf(node)].join(', ')})`;
  const weights = weightLabels(node).join(', ');
  const left = out === '' ? call : `${out} = ${call}`;
  return [left, weights, flopsLabel(node)].filter((part) => part !== '').join('  ');
}

function describe(value: Value): string {
  return `${short(value)} ${value.name} [${value.shape.join(', ')}] ${value.dtype}`;
}

function short(value: Value): string {
  return `%${value.id}`;
}

/** The settings of an op that its shapes do not show. */
function fieldsOf(node: GraphNode): readonly string[] {
  switch (node.op) {
    case 'embed':
      return ['token ids'];
    case 'rmsNorm':
      return [`epsilon ${node.epsilon}`];
    case 'qkNorm':
      return [`head size ${node.headSize}`, `epsilon ${node.epsilon}`];
    case 'rope':
      return [`head size ${node.headSize}`, `theta ${node.theta}`];
    case 'pagedAttention': {
      const heads = `${node.heads} heads of ${node.headSize} over ${node.kvHeads}`;
      return node.window === undefined ? [heads] : [heads, `window ${node.window}`];
    }
    case 'router': {
      const choice = `top-${node.topK} of ${node.experts}`;
      const rest = node.renormalize ? [node.score, 'renormalized'] : [node.score];
      return [choice, ...rest, ...(node.scale === 1 ? [] : [`times ${node.scale}`])];
    }
    case 'experts':
      return [`${node.experts.length} experts ${node.width} wide`, node.activation];
    case 'linear':
    case 'kvAppend':
    case 'addTo':
    case 'swiglu':
    case 'lmHead':
      return [];
  }
}

/** The first expert speaks for all. */
function weightLabels(node: GraphNode): readonly string[] {
  if (node.op !== 'experts') return weightsOf(node).map(weightLabel);
  return weightsOf(node)
    .slice(0, 3)
    .map((weight) => weightLabel(weight).replace('experts.0.', 'experts.*.'));
}

function weightLabel({ name, shape }: WeightRef): string {
  return `${name} [${shape.join(', ')}]`;
}

/** Of one token; attention's share per key it sees is told apart. */
function flopsLabel(node: GraphNode): string {
  const flops = (keysSeen: number): number => costOf(node, { ...oneToken(node), keysSeen }).flops;
  const perKey = flops(1) - flops(0);
  if (perKey > 0) return `${shortCount(perKey)} FLOPs/token and key`;
  return flops(0) > 0 ? `${shortCount(flops(0))} FLOPs/token` : '';
}

function oneToken(node: GraphNode): Workload {
  const topK = node.op === 'experts' ? Number(node.routes.expertIds.shape[1]) : 0;
  return {
    tokens: 1,
    logitsRows: 1,
    keysSeen: 0,
    keysRead: 0,
    routedRows: topK,
    expertsTouched: topK,
    weightElementBytes: 2,
    activationElementBytes: 2,
    kvElementBytes: 2,
  };
}

/** Runs of layers that differ in their number only, with `*` in place of the number. */
function foldLayers(layers: readonly Graph[]): readonly { title: string; graph: Graph }[] {
  const folded: { first: number; last: number; text: string; graph: Graph }[] = [];
  layers.forEach((graph, index) => {
    const starred = starLayer(graph, index);
    const text = printGraph(starred, '');
    const before = folded.at(-1);
    if (before?.text === text) before.last = index;
    else folded.push({ first: index, last: index, text, graph: starred });
  });
  return folded.map(({ first, last, graph }) => {
    const single = layers[first];
    return first === last && single !== undefined
      ? { title: `layer ${first}`, graph: single }
      : { title: `layers ${first}–${last}`, graph };
  });
}

/** The graph with `.layers.*.` in its tensor names. */
function starLayer(graph: Graph, index: number): Graph {
  const text = JSON.stringify(graph.nodes).replaceAll(`.layers.${index}.`, '.layers.*.');
  return { name: graph.name, nodes: JSON.parse(text) as readonly GraphNode[] };
}

const units = ['', ' k', ' M', ' G', ' T', ' P'] as const;

/** Three digits and a unit: 45_097_156_608 → '45.1 G'. */
function shortCount(count: number): string {
  let scaled = count;
  let unit = 0;
  while (scaled >= 999.5 && unit + 1 < units.length) {
    scaled /= 1000;
    unit += 1;
  }
  const digits = unit === 0 ? String(scaled) : scaled.toPrecision(3);
  return `${digits}${units[unit] ?? ''}`;
}
