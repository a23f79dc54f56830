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
  const result = definition.config.safeParse(json);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = issue?.path ?? [];
  const field = path.join('.');
  const found = valueAt(json, path);
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message:
      `config.json of a ${definition.name} model, field "${field}": ` +
      `${issue?.message ?? 'invalid'} (found ${shown(found)}). Correct the file, or serve ` +
      'another model.',
    details: { path: field, family: definition.name, found, issues: result.error.issues },
  });
}

function valueAt(json: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === 'object' && value !== null
        ? (value as Readonly<Record<PropertyKey, unknown>>)[key]
        : undefined,
    json,
  );
}

/** The value as JSON, cut where a hostile file would fill the log. */
function shown(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length <= 80 ? text : `${text.slice(0, 80)}…`;
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
