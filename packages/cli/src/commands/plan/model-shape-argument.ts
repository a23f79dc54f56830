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
 * MODEL of commands that only plan: a name the planner knows, a config.json, or a directory that has one. Weights are not read.
 *
 * @throws UsageError, ConfigError
 */
export function modelShapeOf(model: string, elementBytes: ElementBytes = {}): ModelShape {
  const kind = kindOf(model);
  if (kind === undefined) return namedModelShape(model, elementBytes);
  const file = resolve(kind === 'directory' ? join(model, 'config.json') : model);
  const name = basename(file) === 'config.json' ? basename(dirname(file)) : basename(file, '.json');
  return deriveModelShape(name, buildModelGraph(readJsonFile(file)), elementBytes);
}

/** Undefined where it is a name: one the planner knows, or nothing of that name is there. */
function kindOf(model: string): 'directory' | 'file' | undefined {
  if (namedModels.some(({ name }) => name === model.toLowerCase())) return undefined;
  const stat = statSync(model, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  return stat.isDirectory() ? 'directory' : 'file';
}
