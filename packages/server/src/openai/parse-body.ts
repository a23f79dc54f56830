import { RequestError } from '@megascale/core';
import type { z } from 'zod';

const shownCharactersMax = 80;

/**
 * Checks a request body and returns its known fields; it drops the others.
 *
 * @throws RequestError 'ERR_REQUEST_INVALID' with `details.param`, the path of the first bad field.
 */
export function parseBody<Schema extends z.ZodType>(
  schema: Schema,
  body: unknown,
): z.output<Schema> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw invalid(undefined, `expected a JSON object as the request body, found ${show(body)}.`);
  }
  const parsed = schema.safeParse(body, { reportInput: true });
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  if (issue === undefined) throw parsed.error;
  const found = issue.input === undefined ? 'nothing' : show(issue.input);
  throw invalid(pathOf(issue.path), `${expectation(issue)}, found ${found}.`);
}

/** Makes the refusal of one field, in the words that `parseBody` uses. */
export function invalid(param: string | undefined, sentence: string): RequestError {
  const prefix = param === undefined || param === '' ? '' : `${param}: `;
  return new RequestError('ERR_REQUEST_INVALID', {
    message: prefix + sentence,
    details: param === undefined || param === '' ? {} : { param },
  });
}

/** ['messages', 0, 'content'] → 'messages[0].content' */
function pathOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`;
    return text === '' ? String(key) : `${text}.${String(key)}`;
  }, '');
}

/** Says what the field should have been: 'expected at least 1'. */
export function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${nameOfType(issue.expected)}`;
    case 'too_small':
      return `expected at least ${String(issue.minimum)}${unitOf(issue.origin)}`;
    case 'too_big':
      return `expected at most ${String(issue.maximum)}${unitOf(issue.origin)}`;
    case 'invalid_value':
      return `expected ${issue.values.map((value) => JSON.stringify(value)).join(' or ')}`;
    default:
      return issue.message;
  }
}

function nameOfType(expected: string): string {
  if (expected === 'int') return 'an integer';
  return /^[aeiou]/.test(expected) ? `an ${expected}` : `a ${expected}`;
}

function unitOf(origin: string): string {
  if (origin === 'string') return ' characters';
  return origin === 'array' ? ' entries' : '';
}

function show(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length <= shownCharactersMax ? text : `${text.slice(0, shownCharactersMax)}…`;
}
