import { ConfigError } from '@megascale/core';
import type { z } from 'zod';

/**
 * The first thing that is wrong with a file, with its path in the document and what was found
 * there.
 */
export function fieldError(file: string, content: unknown, error: z.ZodError): ConfigError {
  const [issue] = error.issues;
  const path = issue?.path ?? [];
  const field = path.join('.');
  const found = shown(valueAt(content, path));
  return new ConfigError('ERR_CONFIG_FIELD', {
    message: `${file}, field "${field}": ${issue?.message ?? 'invalid'} (found ${found}). Correct the file.`,
    details: { file, path: field, found },
  });
}

function valueAt(content: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === 'object' && value !== null
        ? (value as Readonly<Record<PropertyKey, unknown>>)[key]
        : undefined,
    content,
  );
}

/** As JSON, cut where a hostile file would fill the log. */
function shown(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length <= 80 ? text : `${text.slice(0, 80)}…`;
}
