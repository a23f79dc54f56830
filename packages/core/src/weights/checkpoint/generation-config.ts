import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ConfigError } from '../../errors.js';
import type { SamplingOptions } from '../../sampling/sampling-options.js';
import { readJsonObject } from './read-json-object.js';

/**
 * What a model says about how to generate with it: generation_config.json, completed from
 * config.json.
 */
export interface GenerationConfig {
  /** Any of these ends a sequence. Empty: nothing but the limits does. */
  readonly eosTokenIds: readonly number[];
  readonly bosTokenId?: number;
  readonly padTokenId?: number;
  /** Defaults of a request. `{ temperature: 0 }`, greedy, unless the model says `do_sample`. */
  readonly sampling: SamplingOptions;
}

const tokenId = z.int().nonnegative();
const tokenIds = z.union([tokenId, z.array(tokenId)]).nullish();
const tokenFields = z.object({
  eos_token_id: tokenIds,
  bos_token_id: tokenIds,
  pad_token_id: tokenIds,
});
const generationFields = tokenFields.extend({
  do_sample: z.boolean().nullish(),
  temperature: z.number().nonnegative().nullish(),
  top_k: z.int().nonnegative().nullish(),
  top_p: z.number().positive().max(1).nullish(),
  min_p: z.number().nonnegative().max(1).nullish(),
});

/**
 * Reads `dir`/generation_config.json, which may be absent, and merges the end tokens of
 * config.json.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' for a bad field, 'ERR_CHECKPOINT_CORRUPT' for bad JSON.
 */
export function readGenerationConfig(dir: string, config: unknown): GenerationConfig {
  const file = join(dir, 'generation_config.json');
  const json = existsSync(file) ? readJsonObject(file) : {};
  return mergeGenerationConfig(json, config);
}

/** The same from parsed JSON. `config` is config.json; of it only the token ids are read. */
export function mergeGenerationConfig(generation: unknown, config: unknown): GenerationConfig {
  const own = parse(generationFields, generation, 'generation_config.json');
  const model = parse(tokenFields, config, 'config.json');
  const bosTokenId = first(own.bos_token_id) ?? first(model.bos_token_id);
  const padTokenId = first(own.pad_token_id) ?? first(model.pad_token_id);
  return {
    eosTokenIds: [...new Set([...all(own.eos_token_id), ...all(model.eos_token_id)])],
    ...(bosTokenId === undefined ? {} : { bosTokenId }),
    ...(padTokenId === undefined ? {} : { padTokenId }),
    sampling: own.do_sample === true ? samplingDefaults(own) : { temperature: 0 },
  };
}

function samplingDefaults(fields: z.output<typeof generationFields>): SamplingOptions {
  const { temperature, top_k: topK, top_p: topP, min_p: minP } = fields;
  return {
    ...(temperature == null ? {} : { temperature }),
    ...(topK == null ? {} : { topK }),
    ...(topP == null ? {} : { topP }),
    ...(minP == null ? {} : { minP }),
  };
}

function parse<Schema extends z.ZodType>(
  schema: Schema,
  json: unknown,
  file: string,
): z.output<Schema> {
  const result = schema.safeParse(json, { reportInput: true });
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const path = issue?.path.join('.') ?? '';
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message:
      `${file}: field "${path}": ${issue?.message ?? 'invalid'} (found ` +
      `${JSON.stringify(issue?.input)}). Correct the field or remove it.`,
    details: { file, path, issues: result.error.issues },
  });
}

function all(ids: z.output<typeof tokenIds>): readonly number[] {
  if (ids == null) return [];
  return typeof ids === 'number' ? [ids] : ids;
}

function first(ids: z.output<typeof tokenIds>): number | undefined {
  return all(ids)[0];
}
