import { ConfigError } from '../../errors.js';
import { weightsOf } from '../../graph/node-values.js';
import type { ModelGraph, WeightRef } from '../../graph/ops.js';
import type { WeightSource } from '../../spec/weight-source.js';

/** Names listed in a message at most. */
const namesShownMax = 8;
/** A table some exporters store although it is computed. */
const computedBuffer = /\.rotary_emb\.inv_freq$/;

/** Every tensor a model needs, once each, in order of first use. */
export function requiredWeights(model: ModelGraph): readonly WeightRef[] {
  const refs = new Map<string, WeightRef>();
  for (const graph of [model.prologue, ...model.layers, model.epilogue]) {
    for (const ref of graph.nodes.flatMap(weightsOf)) {
      if (!refs.has(ref.name)) refs.set(ref.name, ref);
    }
  }
  return [...refs.values()];
}

/**
 * Checks that checkpoint and model fit: every tensor the graph needs is there with its shape, and
 * every tensor that is there is needed. Stored rotary tables, and a stored copy of a tied LM head,
 * are ignored. The embedding table must not be quantized: its rows are read, not multiplied.
 *
 * @throws ConfigError 'ERR_WEIGHT_MISSING', 'ERR_WEIGHT_SHAPE', 'ERR_WEIGHT_FORMAT' or
 * 'ERR_WEIGHT_UNKNOWN'.
 */
export function checkWeights(model: ModelGraph, weights: WeightSource): void {
  const required = requiredWeights(model);
  for (const { name, shape } of required) weights.locate(name, shape);
  for (const table of embeddingTables(model)) requirePlainTable(table, weights);
  const known = new Set(required.map(({ name }) => name));
  if (isTied(model)) known.add('lm_head.weight');
  const unknown = [...weights.tensors.keys()].filter(
    (name) => !known.has(name) && !computedBuffer.test(name),
  );
  if (unknown.length === 0) return;
  const shown = unknown.slice(0, namesShownMax).join(', ');
  const more = unknown.length > namesShownMax ? ` and ${unknown.length - namesShownMax} more` : '';
  throw new ConfigError('ERR_WEIGHT_UNKNOWN', {
    message:
      `The checkpoint has ${unknown.length} tensors that a ${model.family} model does not use: ` +
      `${shown}${more}. Computing without them would give wrong text; use the model family ` +
      'that knows them, or remove them.',
    details: { names: unknown, family: model.family },
  });
}

function requirePlainTable({ name, shape }: WeightRef, weights: WeightSource): void {
  const { dtype, file } = weights.locate(name, shape);
  if (dtype !== 'I8' && dtype !== 'I4') return;
  throw new ConfigError('ERR_WEIGHT_FORMAT', {
    message:
      `Tensor ${name} in ${file} is an embedding table and quantized (${dtype}); only matrices ` +
      'that are multiplied may be. Take the model in bf16 and run: megascale quantize.',
    details: { name, file, dtype },
  });
}

function embeddingTables(model: ModelGraph): readonly WeightRef[] {
  return model.prologue.nodes.flatMap((node) => (node.op === 'embed' ? [node.table] : []));
}

function isTied(model: ModelGraph): boolean {
  const tables = embeddingTables(model);
  return model.epilogue.nodes.some(
    (node) => node.op === 'lmHead' && tables.some(({ name }) => name === node.weight.name),
  );
}
