import type { GenerateOptions } from '@megascale/engine';
import { z } from 'zod';
import { presentFields } from '@megascale/core';
import { boundedList } from './bounded-list.js';

export const answersPerPromptMax = 16;
export const alternativesMax = 20;
const stopTextsMax = 16;
const stopExpected = `a text or a list of 1 to ${stopTextsMax} texts, none of them empty`;
/** The largest seed: `seed + index` of every answer stays a safe integer. */
const seedMax = Number.MAX_SAFE_INTEGER - answersPerPromptMax;
const priorityMax = 1_000;
/** Stands for `top_p: 0`, which OpenAI allows: so small that only the likeliest token remains. */
const topPMin = 1e-9;

/**
 * Makes the schema of a field that may be absent or null; OpenAI's clients send null for absent.
 */
export const optional = <Schema extends z.ZodType>(schema: Schema) =>
  schema.nullish().transform((value) => value ?? undefined);

/** A text without lone surrogates, which are no characters and have no UTF-8. */
export const text = z
  .string()
  .refine((value) => !/\p{Surrogate}/u.test(value), 'expected whole Unicode characters');

/** The fields that both endpoints read. */
export const commonFields = {
  model: optional(z.string()),
  stream: optional(z.boolean()),
  stream_options: optional(z.object({ include_usage: optional(z.boolean()) })),
  n: optional(z.int().min(1).max(answersPerPromptMax)),
  max_tokens: optional(z.int().min(1)),
  max_completion_tokens: optional(z.int().min(1)),
  stop: optional(
    z.union(
      [text.min(1), boundedList(text.min(1), { max: stopTextsMax, expected: stopExpected })],
      {
        error: `expected ${stopExpected}`,
      },
    ),
  ),
  temperature: optional(z.number().min(0).max(2)),
  top_p: optional(z.number().min(0).max(1)),
  top_k: optional(z.int().min(-1)),
  min_p: optional(z.number().min(0).max(1)),
  seed: optional(z.int().max(seedMax)),
  ignore_eos: optional(z.boolean()),
  user: optional(z.string().max(256)),
  priority: optional(z.int().min(-priorityMax).max(priorityMax)),
} as const;

export type CommonFields = z.output<z.ZodObject<typeof commonFields>>;

/**
 * Returns the engine's options for one answer of a prompt, without log-probabilities and signal.
 */
export function generateOptions(fields: CommonFields, answerIndex: number): GenerateOptions {
  const { stop, seed, top_p: topP, top_k: topK } = fields;
  return presentFields({
    maxTokens: fields.max_completion_tokens ?? fields.max_tokens,
    temperature: fields.temperature,
    topP: topP === undefined ? undefined : Math.max(topP, topPMin),
    topK: topK === -1 ? 0 : topK,
    minP: fields.min_p,
    seed: seed === undefined ? undefined : seed + answerIndex,
    stop: typeof stop === 'string' ? [stop] : stop,
    ignoreEos: fields.ignore_eos,
    tenant: fields.user,
    // Over HTTP a lower priority runs sooner, as in other servers.
    priority: fields.priority === undefined ? undefined : 0 - fields.priority,
  });
}
