import { ConfigError } from '@megascale/core';
import { z } from 'zod';
import type { SimulatedRequest } from './requests.js';

export const traceLimits = { bytes: 256 << 20, requests: 2_000_000, lineCharacters: 1024 } as const;

/** A number, or the text of one, as in CSV. */
const numeric = z.union([
  z.number(),
  z
    .string()
    .regex(/^\d+(\.\d+)?([eE][+-]?\d+)?$/, 'Expected a number')
    .transform(Number),
]);
const tokens = numeric.pipe(z.int().min(1).max(1_048_576));
const line = z.object({
  arrivalS: numeric.pipe(z.number().min(0).max(31_536_000)),
  promptTokens: tokens,
  outputTokens: tokens,
});

/**
 * A recorded workload: JSON lines, `{"arrivalS": 0.25, "promptTokens": 571, "outputTokens": 159}`,
 * or CSV whose first line names the same three columns, in any order and besides others. Seconds
 * from any start; in ascending order. Empty lines and lines that begin with # are passed over.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' naming the line.
 */
export function parseRequestTrace(text: string): SimulatedRequest[] {
  if (text.length > traceLimits.bytes) {
    refuse(0, `${text.length} characters, of ${traceLimits.bytes} at most`);
  }
  const requests: SimulatedRequest[] = [];
  let columns: readonly string[] | undefined;
  let number = 0;
  for (const each of linesOf(text)) {
    number += 1;
    const content = each.trim();
    if (content === '' || content.startsWith('#')) continue;
    if (content.length > traceLimits.lineCharacters) refuse(number, 'it is too long');
    if (columns === undefined && !content.startsWith('{')) {
      columns = content.split(',').map((name) => name.trim());
      continue;
    }
    const request = parseLine(content, columns, number);
    const before = requests.at(-1);
    if (before !== undefined && request.arrivalUs < before.arrivalUs) {
      refuse(number, 'it arrives before the one above it');
    }
    if (requests.length === traceLimits.requests) {
      refuse(number, `more than ${traceLimits.requests} requests`);
    }
    requests.push(request);
  }
  if (requests.length === 0) refuse(number, 'there is no request');
  return requests;
}

function* linesOf(text: string): Generator<string, void, undefined> {
  for (let from = 0; from < text.length;) {
    const end = text.indexOf('\n', from);
    const to = end < 0 ? text.length : end;
    yield text.slice(from, to);
    from = to + 1;
  }
}

function parseLine(
  content: string,
  columns: readonly string[] | undefined,
  number: number,
): SimulatedRequest {
  const result = line.safeParse(fieldsOf(content, columns, number));
  if (result.success) {
    const { arrivalS, promptTokens, outputTokens } = result.data;
    return { arrivalUs: arrivalS * 1e6, promptTokens, outputTokens };
  }
  const [issue] = result.error.issues;
  return refuse(number, `${issue?.path.join('.') ?? 'it'}: ${issue?.message ?? 'invalid'}`);
}

function fieldsOf(content: string, columns: readonly string[] | undefined, number: number) {
  if (columns !== undefined) {
    const cells = content.split(',').map((cell) => cell.trim());
    return Object.fromEntries(columns.map((name, index) => [name, cells[index]]));
  }
  try {
    return JSON.parse(content) as unknown;
  } catch {
    return refuse(number, 'it is no JSON');
  }
}

function refuse(number: number, finding: string): never {
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `Request trace, line ${number}: ${finding}. Give JSON lines or CSV with arrivalS, promptTokens and outputTokens, in the order of arrival.`,
    details: { path: 'arrivals', line: number },
  });
}
