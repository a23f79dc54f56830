import { dirname, resolve } from 'node:path';
import { optionMeta } from '@megascale/engine';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { readTextFile } from '../output/read-json-file.js';
import { UsageError } from '../output/usage-error.js';
import { allOptions } from './all-options.js';
import type { OptionDescription } from './describe-options.js';
import { nearestName } from './nearest-name.js';
import { foundText } from './option-flags.js';
import { innerSchema } from './option-kind.js';
import { OptionValueError, readValue } from './read-value.js';

/** Values of options by name. */
export type OptionValues = Readonly<Record<string, unknown>>;

/**
 * The options that a configuration file sets, by name: YAML, and so JSON too. Paths in it start at
 * its folder.
 *
 * @throws UsageError naming the file, and the option that it does not know or whose value it has wrong.
 */
export function readConfigFile(path: string): OptionValues {
  const folder = dirname(resolve(path));
  return Object.fromEntries(
    entriesOf(path).map(([name, given]) => {
      const option = allOptions.find((known) => known.name === name);
      if (option === undefined) throw unknownOption(path, name);
      return [name, fromFolder(folder, option.schema, valueIn(path, option, given))];
    }),
  );
}

function entriesOf(path: string): readonly (readonly [string, unknown])[] {
  const content = parseContent(path);
  if (content === null) return [];
  if (typeof content !== 'object' || Array.isArray(content)) {
    throw new UsageError(`${path}: expected options, one per line: attentionWorkers: 2.`);
  }
  // Editors take the schema of a JSON file from this key.
  return Object.entries(content).filter(([name]) => name !== '$schema');
}

function parseContent(path: string): unknown {
  const text = readTextFile(path);
  try {
    return parseYaml(text);
  } catch (error) {
    const [line] = (error as Error).message.split('\n');
    throw new UsageError(`${path} is neither YAML nor JSON: ${line ?? ''}`);
  }
}

function unknownOption(path: string, name: string): UsageError {
  const names = allOptions.map((option) => option.name);
  const near = nearestName(name, names);
  const hint = near === undefined ? 'See megascale config schema.' : `Did you mean ${near}?`;
  return new UsageError(`${path}: there is no option ${name}. ${hint}`);
}

function valueIn(path: string, option: OptionDescription, given: unknown): unknown {
  try {
    return readValue(option, given);
  } catch (error) {
    if (!(error instanceof OptionValueError)) throw error;
    throw new UsageError(
      `${path}: option ${option.name}${foundText(option, given)}: ${error.message}.`,
    );
  }
}

/** With paths, which the file names from its own folder, made absolute. */
function fromFolder(folder: string, schema: z.core.$ZodType, value: unknown): unknown {
  if (typeof value === 'string') {
    return optionMeta(schema)?.isPath?.(value) === true ? resolve(folder, value) : value;
  }
  const inner = innerSchema(schema);
  if (!(inner instanceof z.ZodObject) || typeof value !== 'object' || value === null) return value;
  const shape = inner.shape as z.core.$ZodShape;
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => {
      const field = Object.hasOwn(shape, name) ? shape[name] : undefined;
      return [name, field === undefined ? part : fromFolder(folder, field, part)];
    }),
  );
}
