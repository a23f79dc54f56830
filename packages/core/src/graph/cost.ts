/**
 * FLOPs and bytes of every op, exactly, as functions of how much work there is. Planner, simulator
 * and benchmarks all count with these.
 *
 * A FLOP is one addition, multiplication, division, exponential or square root on a number of the
 * model; comparisons, copies and address arithmetic count nothing. Bytes are what an op must read
 * and write once: weights it touches, its inputs and outputs, keys and values.
 */
import { inputsOf, outputsOf, weightsOf } from './node-values.js';
import type { ExpertsNode, GraphNode, ModelGraph, Value } from './ops.js';
import { partition, type AttentionStageProgram } from './partition.js';
import type { Workload } from './workload.js';

export interface Cost {
  readonly flops: number;
  readonly weightBytes: number;
  /** Inputs read and outputs written. */
  readonly activationBytes: number;
  /** Keys and values read and written. */
  readonly kvBytes: number;
}

const noCost: Cost = { flops: 0, weightBytes: 0, activationBytes: 0, kvBytes: 0 };

/** What one node costs. */
export function costOf(node: GraphNode, work: Workload): Cost {
  return {
    flops: flopsOf(node, work),
    weightBytes: weightElementsOf(node, work) * work.weightElementBytes,
    activationBytes: activationBytesOf(node, work),
    kvBytes: kvElementsOf(node, work) * work.kvElementBytes,
  };
}

export function costOfNodes(nodes: readonly GraphNode[], work: Workload): Cost {
  return sum(nodes.map((node) => costOf(node, work)));
}

/**
 * residual += Σₖ weights · answers: a multiplication and an addition per element of the outputs.
 */
export function costOfCombine(stage: AttentionStageProgram, work: Workload): Cost {
  const width = widthOf(stage.residual);
  const answers = work.routedRows * width;
  const residualBytes = 2 * work.tokens * width * 4;
  const routesBytes = 2 * work.routedRows * 4;
  return {
    ...noCost,
    flops: 2 * answers,
    activationBytes: answers * work.activationElementBytes + residualBytes + routesBytes,
  };
}

/** What an attention worker does for one routed layer: attend and combine. */
export function costOfAttentionStage(stage: AttentionStageProgram, work: Workload): Cost {
  return sum([costOfNodes(stage.attend, work), costOfCombine(stage, work)]);
}

/** What the expert workers do for one routed layer, together. */
export function costOfExpertStage(node: ExpertsNode, work: Workload): Cost {
  return costOf(node, work);
}

/** One micro-batch through the whole model. */
export function costOfModel(model: ModelGraph, work: Workload): Cost {
  const { attention, expert } = partition(model);
  return sum([
    costOfNodes(attention.prologue, work),
    ...attention.stages.map((stage) => costOfAttentionStage(stage, work)),
    ...expert.stages.map((node) => costOfExpertStage(node, work)),
    costOfNodes(attention.epilogue, work),
  ]);
}

/** Parameters of the model, and those that one token uses. Tied tensors count once. */
export function parameterCount(model: ModelGraph): {
  readonly total: number;
  readonly active: number;
} {
  const counted = new Set<string>();
  let total = 0;
  let idle = 0;
  for (const graph of [model.prologue, ...model.layers, model.epilogue]) {
    for (const node of graph.nodes) {
      for (const { name, shape } of weightsOf(node)) {
        if (!counted.has(name)) total += shape.reduce((a, b) => a * b, 1);
        counted.add(name);
      }
      if (node.op !== 'experts') continue;
      idle += (node.experts.length - topKOf(node)) * 3 * node.width * widthOf(node.x);
    }
  }
  return { total, active: total - idle };
}

function flopsOf(node: GraphNode, work: Workload): number {
  const { tokens, keysSeen, logitsRows, routedRows } = work;
  switch (node.op) {
    case 'embed':
    case 'kvAppend':
      return 0;
    case 'rmsNorm':
      return normFlops(widthOf(node.x), 1, tokens);
    case 'qkNorm':
      return normFlops(node.headSize, widthOf(node.x) / node.headSize, tokens);
    case 'linear': {
      const bias = node.bias === undefined ? 0 : widthOf(node.out);
      return tokens * (2 * widthOf(node.x) * widthOf(node.out) + bias);
    }
    case 'rope':
      // Two multiplications and an addition per element; angles come from a table.
      return tokens * 3 * widthOf(node.x);
    case 'pagedAttention': {
      // q·k and share·v; scale, minus maximum, exponential, sum; one division per output.
      const perKey = 4 * node.headSize + 4;
      return node.heads * (keysSeen * perKey + tokens * node.headSize);
    }
    case 'addTo':
      return tokens * widthOf(node.into);
    case 'swiglu':
      return tokens * widthOf(node.out) * swigluFlops;
    case 'router':
      return tokens * (2 * widthOf(node.x) * node.experts + scoreFlops(node));
    case 'experts':
      return routedRows * node.width * (6 * widthOf(node.x) + swigluFlops);
    case 'lmHead':
      return logitsRows * 2 * widthOf(node.x) * widthOf(node.out);
  }
}

/** Exponential, addition and division of silu; times up. */
const swigluFlops = 4;

/**
 * Square and sum each element; mean, epsilon, root and its inverse once; times the inverse, times
 * the weight.
 */
function normFlops(width: number, vectors: number, tokens: number): number {
  return tokens * vectors * (4 * width + 4);
}

/**
 * Softmax (minus maximum, exponential, sum, division) or sigmoid (exponential, addition, division),
 * then the chosen weights.
 */
function scoreFlops(node: Extract<GraphNode, { op: 'router' }>): number {
  const scores = node.experts * (node.score === 'softmax' ? 4 : 3);
  return scores + (node.renormalize ? 2 * node.topK : 0) + (node.scale === 1 ? 0 : node.topK);
}

function weightElementsOf(node: GraphNode, work: Workload): number {
  if (node.op === 'embed') return work.tokens * widthOf(node.out);
  if (node.op === 'experts') return work.expertsTouched * 3 * node.width * widthOf(node.x);
  return weightsOf(node).reduce((elements, { shape }) => {
    return elements + shape.reduce((a, b) => a * b, 1);
  }, 0);
}

function activationBytesOf(node: GraphNode, work: Workload): number {
  if (node.op === 'experts') {
    return work.routedRows * 2 * widthOf(node.x) * work.activationElementBytes;
  }
  if (node.op === 'lmHead') {
    // Only the rows that were asked for are read.
    const read = work.logitsRows * widthOf(node.x) * elementBytes(node.x, work);
    return read + bytesOfValue(node.out, work);
  }
  return [...inputsOf(node), ...outputsOf(node)].reduce(
    (bytes, value) => bytes + bytesOfValue(value, work),
    0,
  );
}

function kvElementsOf(node: GraphNode, work: Workload): number {
  if (node.op === 'kvAppend') return 2 * work.tokens * widthOf(node.k);
  if (node.op === 'pagedAttention') return 2 * work.keysRead * node.kvHeads * node.headSize;
  return 0;
}

function bytesOfValue(value: Value, work: Workload): number {
  const rows = value.shape[0] === 'logitsRows' ? work.logitsRows : work.tokens;
  return rows * widthOf(value) * elementBytes(value, work);
}

function elementBytes(value: Value, work: Workload): number {
  return value.dtype === 'activation' ? work.activationElementBytes : 4;
}

function widthOf(value: Value): number {
  const width = value.shape[1];
  return typeof width === 'number' ? width : 0;
}

function topKOf(node: ExpertsNode): number {
  return widthOf(node.routes.expertIds);
}

function sum(costs: readonly Cost[]): Cost {
  return costs.reduce(
    (total, cost) => ({
      flops: total.flops + cost.flops,
      weightBytes: total.weightBytes + cost.weightBytes,
      activationBytes: total.activationBytes + cost.activationBytes,
      kvBytes: total.kvBytes + cost.kvBytes,
    }),
    noCost,
  );
}
