import type { GraphNode, Value, WeightRef } from './ops.js';

/** The values a node reads. */
export function inputsOf(node: GraphNode): readonly Value[] {
  switch (node.op) {
    case 'embed':
      return [];
    case 'kvAppend':
      return [node.k, node.v];
    case 'pagedAttention':
      return [node.q];
    case 'addTo':
      return [node.into, node.x];
    case 'swiglu':
      return [node.gate, node.up];
    case 'experts':
      return [node.x, node.routes.expertIds, node.routes.weights];
    case 'rmsNorm':
    case 'linear':
    case 'qkNorm':
    case 'rope':
    case 'router':
    case 'lmHead':
      return [node.x];
  }
}

/** The values a node writes; `addTo` writes the value it adds to. */
export function outputsOf(node: GraphNode): readonly Value[] {
  switch (node.op) {
    case 'kvAppend':
      return [];
    case 'addTo':
      return [node.into];
    case 'router':
      return [node.out.expertIds, node.out.weights];
    default:
      return [node.out];
  }
}

/** The checkpoint tensors a node needs. */
export function weightsOf(node: GraphNode): readonly WeightRef[] {
  switch (node.op) {
    case 'embed':
      return [node.table];
    case 'linear':
      return node.bias === undefined ? [node.weight] : [node.weight, node.bias];
    case 'rmsNorm':
    case 'qkNorm':
    case 'router':
    case 'lmHead':
      return [node.weight];
    case 'experts':
      return node.experts.flatMap(({ gate, up, down }) => [gate, up, down]);
    case 'rope':
    case 'kvAppend':
    case 'pagedAttention':
    case 'addTo':
    case 'swiglu':
      return [];
  }
}
