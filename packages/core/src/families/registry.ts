import { ConfigError } from '../errors.js';
import type { ModelGraph } from '../graph/ops.js';
import type { ModelFamily } from '../spec/model-family.js';
import { mixtral } from './mixtral.js';
import { qwen3Moe } from './qwen3-moe.js';

/** The families this package brings. Add your own by passing a longer list. */
export const knownFamilies: readonly ModelFamily[] = [mixtral, qwen3Moe];

/**
 * Builds the graph of the family that claims `architectures[0]` of config.json.
 *
 * @throws ConfigError 'ERR_ARCHITECTURE_UNKNOWN' listing the known ones; 'ERR_CONFIG_FIELD' for a
 * bad field.
 */
export function buildModelGraph(
  config: unknown,
  families: readonly ModelFamily[] = knownFamilies,
): ModelGraph {
  const architectures = architecturesOf(config);
  const family = families.find((candidate) =>
    candidate.architectures.some((name) => architectures.includes(name)),
  );
  if (family !== undefined) return family.buildGraph(config);
  const known = families.flatMap((candidate) => candidate.architectures);
  throw new ConfigError('ERR_ARCHITECTURE_UNKNOWN', {
    message:
      `config.json asks for architecture ${architectures.join(', ') || '(none)'}; known are ` +
      `${known.join(', ')}.`,
    details: { architectures, known },
  });
}

function architecturesOf(config: unknown): readonly string[] {
  if (typeof config !== 'object' || config === null || !('architectures' in config)) return [];
  const { architectures } = config;
  return Array.isArray(architectures)
    ? architectures.filter((name): name is string => typeof name === 'string')
    : [];
}
