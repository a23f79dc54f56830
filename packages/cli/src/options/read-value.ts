import { optionMeta } from '@megascale/engine';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { readTextFile } from '../output/read-json-file.js';
import type { OptionDescription } from './describe-options.js';
import { expectation, innerSchema, literalOf, taggedFields } from './option-kind.js';
import { quantity } from './quantity.js';

/**
 * A value that an option does not take. The message says what is wrong, without naming the option.
 */
export class OptionValueError extends Error {}

/**
 * What a flag, a variable or a configuration file says of an option. Text may stand for any value:
 * `32K`, `30s`,
 * `name=value,…`, JSON, or the name of a file that holds a list. The result is as the engine takes it, without defaults.
 *
 * @throws OptionValueError
 */
export function readValue({ schema, meta }: OptionDescription, given: unknown): unknown {
  const value = interpret(schema, given);
  const parsed = schema.safeParse(value, { reportInput: true });
  if (parsed.success) return value;
  const [issue] = parsed.error.issues;
  const example = meta.example === undefined ? '' : `: ${meta.example}`;
  throw new OptionValueError(problem(schema, issue, example));
}

function problem(schema: z.ZodType, issue: z.core.$ZodIssue | undefined, example: string): string {
  const path = issue?.path ?? [];
  const at = fieldAt(schema, path);
  const prefix = path.length === 0 ? '' : `${path.join('.')}: `;
  if (issue?.code === 'unrecognized_keys') {
    const known = at instanceof z.ZodObject ? Object.keys(at.shape).join(', ') : 'known';
    return `'${issue.keys.join(', ')}' is none of ${known}${example}`;
  }
  if (issue?.code === 'custom') return `${prefix}${issue.message}`;
  if (path.length > 0 && issue?.input === undefined)
    return `${path.join('.')} is missing${example}`;
  return `${prefix}expected ${expectation(at ?? schema)}`;
}

function fieldAt(
  schema: z.core.$ZodType,
  path: readonly PropertyKey[],
): z.core.$ZodType | undefined {
  const [key, ...rest] = path;
  if (key === undefined) return rest.length === 0 ? innerOrSelf(schema) : undefined;
  const inner = innerSchema(schema);
  const shape = inner instanceof z.ZodObject ? (inner.shape as z.core.$ZodShape) : {};
  const next =
    inner instanceof z.ZodArray
      ? inner.element
      : inner instanceof z.ZodRecord
        ? inner.valueType
        : shape[String(key)];
  return next === undefined ? undefined : fieldAt(next, rest);
}

/** Objects without their wrappings; what is described as it is. */
function innerOrSelf(schema: z.core.$ZodType): z.core.$ZodType {
  const inner = innerSchema(schema);
  return inner instanceof z.ZodObject ? inner : schema;
}

/**
 * The value that text stands for, at every depth; what cannot be read is left for the schema to
 * refuse.
 */
function interpret(schema: z.core.$ZodType, value: unknown): unknown {
  const inner = innerSchema(schema);
  if (typeof value === 'string') return interpretText(schema, inner, value);
  if (Array.isArray(value) && inner instanceof z.ZodArray) {
    return value.map((element) => interpret(inner.element, element));
  }
  if (typeof value !== 'object' || value === null) return value;
  const field = fieldsOf(inner);
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => {
      const known = field(name);
      return [name, known === undefined ? part : interpret(known, part)];
    }),
  );
}

function interpretText(schema: z.core.$ZodType, inner: z.core.$ZodType, text: string): unknown {
  const trimmed = text.trim();
  if (inner instanceof z.ZodNumber) return quantity(trimmed, optionMeta(schema)?.unit) ?? text;
  if (inner instanceof z.ZodBoolean) {
    return trimmed === 'true' ? true : trimmed === 'false' ? false : text;
  }
  if (inner instanceof z.ZodUnion) return interpretChoice(inner.options, trimmed);
  if (inner instanceof z.ZodArray) {
    return interpret(inner, trimmed.startsWith('[') ? parseJson(trimmed) : parseFile(trimmed));
  }
  if (inner instanceof z.ZodObject || inner instanceof z.ZodRecord) {
    return trimmed.startsWith('{')
      ? interpret(inner, parseJson(trimmed))
      : interpret(inner, parsePairs(trimmed, inner, optionMeta(schema)?.example));
  }
  return text;
}

/** `auto` or a number; `layer`, or `window=200` for the object of that type with its one field. */
function interpretChoice(choices: readonly z.core.$ZodType[], text: string): unknown {
  if (choices.some((choice) => literalOf(choice) === text)) return text;
  if (text.startsWith('{')) return parseJson(text);
  for (const choice of choices) {
    const tagged = taggedFields(choice);
    if (tagged === undefined) {
      const value = interpret(choice, text);
      if (value !== text) return value;
      continue;
    }
    const [entry] = Object.entries(tagged.fields);
    if (entry === undefined && text === tagged.tag) return { type: tagged.tag };
    if (entry === undefined || !text.startsWith(`${tagged.tag}=`)) continue;
    const [name, field] = entry;
    return { type: tagged.tag, [name]: interpret(field, text.slice(tagged.tag.length + 1)) };
  }
  return text;
}

function fieldsOf(inner: z.core.$ZodType): (name: string) => z.core.$ZodType | undefined {
  if (inner instanceof z.ZodRecord) return () => inner.valueType;
  const shape = inner instanceof z.ZodObject ? (inner.shape as z.core.$ZodShape) : {};
  return (name) => (Object.hasOwn(shape, name) ? shape[name] : undefined);
}

function parsePairs(
  text: string,
  inner: z.core.$ZodType,
  example: string | undefined,
): Readonly<Record<string, string>> {
  const pairs = new Map<string, string>();
  if (text === '') return {};
  const known = inner instanceof z.ZodObject ? Object.keys(inner.shape) : undefined;
  for (const part of text.split(',')) {
    const [name = '', value, ...more] = part.split('=').map((side) => side.trim());
    if (value === undefined || more.length > 0 || known?.includes(name) === false) {
      const what = known === undefined ? 'is no name' : `is none of ${known.join(', ')}`;
      throw new OptionValueError(`'${part}' ${what} with a value: ${example ?? 'name=value'}`);
    }
    if (pairs.has(name)) throw new OptionValueError(`${name} is given twice`);
    pairs.set(name, value);
  }
  return Object.fromEntries(pairs);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new OptionValueError(`it is not JSON: ${(error as Error).message}`);
  }
}

function parseFile(path: string): unknown {
  try {
    return parseYaml(readTextFile(path));
  } catch (error) {
    throw new OptionValueError((error as Error).message.replace(/\.$/, ''));
  }
}
