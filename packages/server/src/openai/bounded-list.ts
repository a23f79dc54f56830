import { z } from 'zod';
import { expectation } from './parse-body.js';

export interface ListLimits {
  readonly max: number;
  /** What the field takes, for the refusal of something else: 'a list of …'. */
  readonly expected: string;
}

/**
 * Makes the schema of a list of 1 to `max` entries, which stops at the first bad entry. An array of
 * the schema library reports all bad entries, and a body with a million of them would hold the
 * server for half a minute.
 */
export function boundedList<Element extends z.ZodType>(element: Element, limits: ListLimits) {
  return z.unknown().transform((value, context): z.output<Element>[] => {
    const entries = checkLength(value, limits, context);
    const parsed: z.output<Element>[] = [];
    for (const [index, entry] of entries.entries()) {
      const result = element.safeParse(entry, { reportInput: true });
      if (!result.success) {
        const [issue] = result.error.issues;
        if (issue === undefined) throw result.error;
        const path = [index, ...issue.path];
        context.issues.push({
          code: 'custom',
          message: expectation(issue),
          path,
          input: issue.input,
        });
        return z.NEVER;
      }
      parsed.push(result.data);
    }
    return parsed;
  });
}

/** Makes the schema of a list of token ids. It checks them without a schema each: they are many. */
export function tokenIdList(limits: ListLimits) {
  return z.unknown().transform((value, context): readonly number[] => {
    const entries = checkLength(value, limits, context);
    const isTokenId = (entry: unknown): entry is number =>
      Number.isSafeInteger(entry) && Number(entry) >= 0;
    const index = entries.findIndex((entry) => !isTokenId(entry));
    if (index === -1) return entries as readonly number[];
    const message = 'expected a token id, a whole number of at least 0';
    context.issues.push({ code: 'custom', message, path: [index], input: entries[index] });
    return z.NEVER;
  });
}

function checkLength(
  value: unknown,
  { max, expected }: ListLimits,
  context: z.RefinementCtx,
): readonly unknown[] {
  if (Array.isArray(value) && value.length > 0 && value.length <= max) return value;
  context.issues.push({ code: 'custom', message: `expected ${expected}`, input: value });
  return [];
}
