import { ConfigError } from '../../errors.js';
import { weightsOf } from '../../graph/node-values.js';
import type { GraphNode, ModelGraph, WeightRef } from '../../graph/ops.js';
import type { QuantizedForm } from './quantize-groups.js';

export interface QuantizationOptions {
  readonly format: 'int8' | 'int4';
  /** Weights of a row that share a scale. Default: the whole row for int8, 32 for int4. */
  readonly groupSize?: number;
}

/** One scale per row: the LM head in both formats, where 4 bits would cost most and save least. */
const perRow: QuantizedForm = { bits: 8 };
const int4GroupSize = 32;

/**
 * Which tensors of a model are quantized, and how: the linears, the experts and an LM head of its
 * own. Routers, norms, biases and the embedding table, with an LM head tied to it, stay as they
 * are.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' when the group size does not divide a row, naming the
 * tensor.
 */
export function quantizationPlan(
  model: ModelGraph,
  options: QuantizationOptions,
): ReadonlyMap<string, QuantizedForm> {
  const form = formOf(options);
  const nodes = [model.prologue, ...model.layers, model.epilogue].flatMap((graph) => graph.nodes);
  const plan = new Map<string, QuantizedForm>();
  for (const node of nodes) {
    for (const ref of matricesOf(node)) {
      const own = node.op === 'lmHead' ? perRow : form;
      requireWholeGroups(ref, own);
      plan.set(ref.name, own);
    }
  }
  // A tensor that is also something else stays as that needs it.
  for (const { name } of nodes.flatMap(otherWeightsOf)) plan.delete(name);
  return plan;
}

function formOf({ format, groupSize }: QuantizationOptions): QuantizedForm {
  if (groupSize !== undefined && (!Number.isSafeInteger(groupSize) || groupSize < 1)) {
    throw new ConfigError('ERR_CONFIG_FIELD', {
      message: `The group size is ${groupSize}, expected a whole number of at least 1.`,
      details: { groupSize },
    });
  }
  if (format === 'int4') return { bits: 4, groupSize: groupSize ?? int4GroupSize };
  return groupSize === undefined ? { bits: 8 } : { bits: 8, groupSize };
}

/** The matrices of a node that may be quantized. */
function matricesOf(node: GraphNode): readonly WeightRef[] {
  switch (node.op) {
    case 'linear':
    case 'lmHead':
      return [node.weight];
    case 'experts':
      return weightsOf(node);
    default:
      return [];
  }
}

function otherWeightsOf(node: GraphNode): readonly WeightRef[] {
  const matrices = matricesOf(node);
  return weightsOf(node).filter((ref) => !matrices.includes(ref));
}

function requireWholeGroups({ name, shape }: WeightRef, { groupSize }: QuantizedForm): void {
  const columns = shape[1] ?? 1;
  if (groupSize === undefined || columns % groupSize === 0) return;
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message:
      `Tensor ${name} [${shape.join(', ')}] cannot be quantized in groups of ${groupSize}: its ` +
      `rows have ${columns} weights. Give a --group-size that divides ${columns}.`,
    details: { name, shape, groupSize },
  });
}
