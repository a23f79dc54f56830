import { statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { buildModelGraph } from '@megascale/core';
import {
  deriveModelShape,
  namedModels,
  namedModelShape,
  type ElementBytes,
  type ModelShape,
} from '@megascale/planner';
import { readJsonFile } from '../../output/read-json-file.js';

/**
 * Reads the MODEL of a command that only plans: a name the planner knows, a config.json, or a
 * directory that has one. No weights are read.
 *
 * @throws UsageError or ConfigError when the file cannot be read or describes no model that is
 * known.
 */
export function modelShapeOf(model: string, elementBytes: ElementBytes = {}): ModelShape {
  const kind = kindOf(model);
  if (kind === undefined) return namedModelShape(model, elementBytes);
  const file = resolve(kind === 'directory' ? join(model, 'config.json') : model);
  const name = basename(file) === 'config.json' ? basename(dirname(file)) : basename(file, '.json');
  return deriveModelShape(name, buildModelGraph(readJsonFile(file)), elementBytes);
}

/** Returns undefined for a name: one the planner knows, or a path at which nothing is. */
function kindOf(model: string): 'directory' | 'file' | undefined {
  if (namedModels.some(({ name }) => name === model.toLowerCase())) return undefined;
  const stat = statSync(model, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  return stat.isDirectory() ? 'directory' : 'file';
}
