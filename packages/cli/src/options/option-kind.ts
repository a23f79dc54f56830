import { optionMeta, type OptionMeta } from '@megascale/engine';
import { z } from 'zod';
import { quantityText } from './quantity.js';

/** The schema under `optional`, `default` and the like. */
export function innerSchema(schema: z.core.$ZodType): z.core.$ZodType {
  const { def } = schema._zod;
  return 'innerType' in def ? innerSchema(def.innerType as z.core.$ZodType) : schema;
}

export function isBoolean({ schema }: { readonly schema: z.core.$ZodType }): boolean {
  return innerSchema(schema) instanceof z.ZodBoolean;
}

/** The default that the schema has; undefined where the model or the machine decides. */
export function schemaDefault(schema: z.core.$ZodType): unknown {
  return schema instanceof z.ZodDefault ? schema.def.defaultValue : undefined;
}

/** `512`, `1 GiB`, `the model's`; undefined where there is nothing to say. */
export function defaultText(schema: z.core.$ZodType, meta: OptionMeta): string | undefined {
  if (meta.defaultText !== undefined) return meta.defaultText;
  const value = schemaDefault(schema);
  if (typeof value === 'number') return quantityText(value, meta.unit);
  return typeof value === 'string' || typeof value === 'boolean' ? String(value) : undefined;
}

/** What a value must be: `a whole number from 1 to 64`, `one of bf16, int8`. */
export function expectation(schema: z.core.$ZodType): string {
  const inner = innerSchema(schema);
  if (inner instanceof z.ZodNumber) return numberExpectation(schema, inner);
  if (inner instanceof z.ZodEnum) return `one of ${inner.options.join(', ')}`;
  if (inner instanceof z.ZodBoolean) return 'true or false';
  if (inner instanceof z.ZodUnion) return inner.options.map(choice).join(' or ');
  if (inner instanceof z.ZodArray) return 'a list, as JSON or the name of a file that holds it';
  const example = optionMeta(schema)?.example;
  return example === undefined ? 'some text' : `name=value pairs such as ${example}`;
}

/** The bounds alone: `1 to 64`, `at least 1`; undefined where every value will do. */
export function boundsText(schema: z.core.$ZodType): string | undefined {
  const inner = innerSchema(schema);
  if (inner instanceof z.ZodEnum) return inner.options.join(', ');
  if (inner instanceof z.ZodUnion) {
    const texts = inner.options.map((option) => literalOf(option) ?? boundsText(option));
    return texts.every((text) => text !== undefined) ? texts.join(' or ') : undefined;
  }
  if (!(inner instanceof z.ZodNumber)) return undefined;
  const { min, max, above, multipleOf } = limitsOf(inner);
  if (multipleOf !== undefined && max === undefined) return `a multiple of ${multipleOf}`;
  if (above !== undefined) return `above ${above}`;
  if (min === undefined) return undefined;
  return max === undefined ? `at least ${min}` : `${min} to ${max}`;
}

function numberExpectation(schema: z.core.$ZodType, inner: z.ZodNumber): string {
  const { isWhole, max } = limitsOf(inner);
  const bounds = boundsText(inner);
  const kind = isWhole ? 'a whole number' : 'a number';
  const join =
    bounds === undefined || bounds.startsWith('above') ? '' : max === undefined ? 'of ' : 'from ';
  const unit = optionMeta(schema)?.unit;
  const inUnit = unit === undefined ? '' : ` (${unit}${unitExamples[unit]})`;
  return `${kind}${bounds === undefined ? '' : `${bounds.startsWith('a multiple') ? ', ' : ' '}${join}${bounds}`}${inUnit}`;
}

const unitExamples = {
  bytes: ', or as 512MiB, 2GiB',
  tokens: ', or as 4K',
  ms: ', or as 1.5s, 2min',
  µs: ', or as 2ms',
} as const;

/** `auto`, `lockstep`, `window=µs` */
function choice(schema: z.core.$ZodType): string {
  const literal = literalOf(schema);
  if (literal !== undefined) return literal;
  const tagged = taggedFields(schema);
  if (tagged === undefined) return expectation(schema);
  const { tag, fields } = tagged;
  const [field] = Object.values(fields);
  return field === undefined ? tag : `${tag}=${optionMeta(field)?.unit ?? 'value'}`;
}

/** Of a schema of one text: the text. */
export function literalOf(schema: z.core.$ZodType): string | undefined {
  return schema instanceof z.ZodLiteral ? String(schema.value) : undefined;
}

/** Of an object that names its kind in `type`: that name, and the other fields. */
export function taggedFields(
  schema: z.core.$ZodType,
):
  { readonly tag: string; readonly fields: Readonly<Record<string, z.core.$ZodType>> } | undefined {
  if (!(schema instanceof z.ZodObject)) return undefined;
  const { type, ...fields } = schema.shape as Readonly<Record<string, z.core.$ZodType>>;
  const tag = type === undefined ? undefined : literalOf(type);
  return tag === undefined ? undefined : { tag, fields };
}

interface Limits {
  readonly isWhole: boolean;
  readonly min?: number;
  readonly max?: number;
  /** The value itself is not allowed. */
  readonly above?: number;
  readonly multipleOf?: number;
}

function limitsOf(schema: z.ZodNumber): Limits {
  const { type, minimum, maximum, exclusiveMinimum, multipleOf } = z.toJSONSchema(schema);
  const isWhole = type === 'integer';
  const safe = (limit: number | undefined): number | undefined =>
    limit === undefined || Math.abs(limit) >= Number.MAX_SAFE_INTEGER ? undefined : limit;
  const above = typeof exclusiveMinimum === 'number' ? exclusiveMinimum : undefined;
  const least = isWhole && above !== undefined ? above + 1 : safe(minimum);
  const most = safe(maximum);
  return {
    isWhole,
    ...(least === undefined ? {} : { min: least }),
    ...(most === undefined ? {} : { max: most }),
    ...(isWhole || above === undefined ? {} : { above }),
    ...(multipleOf === undefined ? {} : { multipleOf }),
  };
}
