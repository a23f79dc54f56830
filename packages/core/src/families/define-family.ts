import type { z } from 'zod';
import { ConfigError } from '../errors.js';
import { GraphBuilder } from '../graph/builder.js';
import type { ModelGraph } from '../graph/ops.js';
import type { FamilyDefinition, ModelFamily } from '../spec/model-family.js';

/** Turns an author's definition into a family whose config errors name their path. */
export function defineFamily<Schema extends z.ZodType>(
  definition: FamilyDefinition<Schema>,
): ModelFamily {
  return {
    specVersion: 1,
    name: definition.name,
    architectures: definition.architectures,
    buildGraph: (json) => buildGraph(definition, parseConfig(definition, json)),
  };
}

function parseConfig<Schema extends z.ZodType>(
  definition: FamilyDefinition<Schema>,
  json: unknown,
): z.output<Schema> {
  const result = definition.config.safeParse(json, { reportInput: true });
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const path = issue?.path.join('.') ?? '';
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `config.json of a ${definition.name} model: field "${path}": ${issue?.message ?? 'invalid'} (found ${JSON.stringify(issue?.input)}).`,
    details: { path, family: definition.name, issues: result.error.issues },
  });
}

function buildGraph<Schema extends z.ZodType>(
  definition: FamilyDefinition<Schema>,
  config: z.output<Schema>,
): ModelGraph {
  const sizes = definition.sizes(config);
  const prologue = new GraphBuilder('prologue');
  const residual = definition.prologue(prologue, config);
  const layers = Array.from({ length: sizes.layerCount }, (_, index) => {
    const graph = new GraphBuilder(`layer ${String(index)}`, [residual]);
    const weight = (name: string): string => `model.layers.${String(index)}.${name}`;
    definition.layer(graph, residual, config, weight, index);
    return graph.build();
  });
  const epilogue = new GraphBuilder('epilogue', [residual]);
  definition.epilogue(epilogue, residual, config);
  return {
    family: definition.name,
    sizes,
    prologue: prologue.build(),
    layers,
    epilogue: epilogue.build(),
  };
}
