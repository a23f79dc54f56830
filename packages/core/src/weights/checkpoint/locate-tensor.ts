import { ConfigError } from '../../errors.js';
import type { TensorLocation } from '../../spec/weight-source.js';
import { nearMatches } from './near-matches.js';

/**
 * What a weight source knows: the tensors it can give, and those whose element type no reader here
 * reads.
 */
export interface TensorTable {
  readonly tensors: ReadonlyMap<string, TensorLocation>;
  /** name → element type, such as 'F8_E4M3'. */
  readonly unreadable?: ReadonlyMap<string, string>;
  /** Where the tensors are from, for messages: a directory. */
  readonly origin: string;
}

/**
 * Finds a tensor and checks its shape: the rule of `WeightSource.locate`.
 *
 * @throws ConfigError 'ERR_WEIGHT_MISSING' naming near matches, 'ERR_WEIGHT_SHAPE' with both shapes
 * and the file.
 */
export function locateTensor(
  table: TensorTable,
  name: string,
  shape: readonly number[],
): TensorLocation {
  const location = table.tensors.get(name);
  if (location === undefined) throw missingTensor(table, name, shape);
  const same =
    location.shape.length === shape.length &&
    shape.every((size, index) => size === location.shape[index]);
  if (same) return location;
  throw new ConfigError('ERR_WEIGHT_SHAPE', {
    message:
      `Tensor ${name} in ${location.file} has shape [${location.shape.join(', ')}], but ` +
      `config.json asks for [${shape.join(', ')}]. The weights and config.json do not belong ` +
      'together.',
    details: { name, file: location.file, found: location.shape, expected: shape },
  });
}

function missingTensor(table: TensorTable, name: string, shape: readonly number[]): ConfigError {
  const dtype = table.unreadable?.get(name);
  if (dtype !== undefined) {
    return new ConfigError('ERR_WEIGHT_MISSING', {
      message:
        `Tensor ${name} of ${table.origin} is stored as ${dtype}, which cannot be read. ` +
        'Convert the checkpoint to BF16, F16 or F32.',
      details: { name, dtype },
    });
  }
  const near = nearMatches(name, table.tensors.keys());
  const hint =
    near.length > 0
      ? `Did it mean ${near.join(' or ')}? `
      : `None of its ${table.tensors.size} tensors has a similar name. `;
  return new ConfigError('ERR_WEIGHT_MISSING', {
    message:
      `Tensor ${name} [${shape.join(', ')}] is not in ${table.origin}. ${hint}Give the ` +
      'checkpoint that belongs to config.json.',
    details: { name, expected: shape, near },
  });
}
