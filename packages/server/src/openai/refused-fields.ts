import { invalid } from './parse-body.js';

type Neutral = (value: unknown) => boolean;

const absent: Neutral = (value) => value === undefined || value === null;
const is =
  (expected: unknown): Neutral =>
  (value) =>
    absent(value) || value === expected;
const isEmpty: Neutral = (value) => {
  if (Array.isArray(value)) return value.length === 0;
  if (typeof value !== 'object' || value === null) return absent(value) || value === '';
  return Object.keys(value).length === 0;
};
const isTextFormat: Neutral = (value) =>
  absent(value) ||
  (typeof value === 'object' && value !== null && 'type' in value && value.type === 'text');
const isToolFree: Neutral = (value) => absent(value) || value === 'none' || value === 'auto';

/**
 * Fields that would change the answer and are not implemented, with the values that change nothing.
 */
const refused: readonly (readonly [name: string, neutral: Neutral, expected: string])[] = [
  ['frequency_penalty', is(0), '0'],
  ['presence_penalty', is(0), '0'],
  ['repetition_penalty', is(1), '1'],
  ['logit_bias', isEmpty, 'none'],
  ['best_of', is(1), '1'],
  ['suffix', isEmpty, 'none'],
  ['tools', isEmpty, 'none'],
  ['tool_choice', isToolFree, '"none"'],
  ['functions', isEmpty, 'none'],
  ['response_format', isTextFormat, '{"type":"text"}'],
];

/**
 * Refuses a field that the server cannot honour, by name, rather than ignore it.
 *
 * @throws RequestError 'ERR_REQUEST_INVALID' for the first such field.
 */
export function refuseUnsupported(body: unknown): void {
  if (typeof body !== 'object' || body === null) return;
  const given = new Map(Object.entries(body));
  for (const [name, neutral, expected] of refused) {
    if (!neutral(given.get(name))) {
      throw invalid(name, `not supported; leave it out or send ${expected}.`);
    }
  }
}
