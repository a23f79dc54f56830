import { llmOptionsSchema, optionMeta } from '@megascale/engine';
import { z } from 'zod';
import { allOptions } from './all-options.js';
import { defaultText, innerSchema } from './option-kind.js';
import { serveOptionsSchema } from './serve-options.js';

/**
 * The JSON schema of configuration files, for editors: all options of `serve` with what each means.
 */
export function configJsonSchema(): Readonly<Record<string, unknown>> {
  const schema = z.strictObject({ ...llmOptionsSchema.shape, ...serveOptionsSchema.shape });
  const { $schema, properties, ...rest } = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      describeForEditors(zodSchema, jsonSchema);
    },
  });
  const withReference = { $schema: { type: 'string' }, ...properties };
  return { $schema, title: 'Configuration of megascale', ...rest, properties: withReference };
}

const optionSchemas = new Set<z.core.$ZodType>(allOptions.map(({ schema }) => schema));

function describeForEditors(zodSchema: z.core.$ZodType, jsonSchema: z.core.JSONSchema.BaseSchema) {
  const meta = optionMeta(zodSchema);
  if (meta === undefined) return;
  const byDefault = defaultText(zodSchema, meta);
  const notes = [
    meta.help,
    ...(meta.unit === undefined ? [] : [`in ${meta.unit}`]),
    ...(byDefault === undefined ? [] : [`default: ${byDefault}`]),
  ];
  jsonSchema.description = notes.join('; ');
  if (!takesText(zodSchema, meta.unit !== undefined)) return;
  // Text stands for a number with a unit, and for an option with fields, as on the command line.
  const { description, default: initial, ...value } = { ...jsonSchema };
  for (const key of Object.keys(value)) Reflect.deleteProperty(jsonSchema, key);
  Object.assign(jsonSchema, {
    description,
    ...(initial === undefined ? {} : { default: initial }),
    anyOf: [value, { type: 'string' }],
  });
}

function takesText(schema: z.core.$ZodType, hasUnit: boolean): boolean {
  const inner = innerSchema(schema);
  if (inner instanceof z.ZodNumber) return hasUnit;
  const hasFields = inner instanceof z.ZodObject || inner instanceof z.ZodRecord;
  const isUnionOfObjects =
    inner instanceof z.ZodUnion && inner.options.every((one) => one instanceof z.ZodObject);
  return optionSchemas.has(schema) && (hasFields || isUnionOfObjects);
}
