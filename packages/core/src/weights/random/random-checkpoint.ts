import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ConfigError } from '../../errors.js';
import { buildModelGraph } from '../../families/registry.js';
import { requireEmptyDirectory } from '../checkpoint/model-directory.js';
import { randomConfig, type RandomModelOptions } from './random-config.js';
import { randomTokenizer } from './random-tokenizer.js';
import { fillRandomBfloat16 } from './random-weights.js';
import {
  writeBfloat16Checkpoint,
  type Bfloat16Fill,
} from '../checkpoint/write-bfloat16-checkpoint.js';
import type { CheckpointWriteOptions } from '../checkpoint/write-checkpoint-tensors.js';

export interface RandomCheckpointOptions
  extends RandomModelOptions, Pick<CheckpointWriteOptions, 'shardBytesMax'> {
  /** Any safe integer; its low 32 bits count. */
  readonly seed: number;
}

/**
 * Writes a model of made-up weights in Hugging Face layout: config.json, generation_config.json
 * (greedy), bf16 safetensors, tokenizer.json and tokenizer_config.json with a chat template. The
 * same options give the same bytes.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' when a size is impossible, when sizes do not fit each
 * other, or when `dir` is not empty.
 */
export async function makeRandomCheckpoint(
  dir: string,
  options: RandomCheckpointOptions,
  onProgress?: CheckpointWriteOptions['onProgress'],
): Promise<void> {
  requireSizes(options);
  const tokens = randomTokenizer(options.vocab);
  const config = randomConfig(options, { end: tokens.endTokenId });
  // Before anything is written: impossible sizes throw here.
  buildModelGraph(config);
  const absolute = resolve(dir);
  await mkdir(absolute, { recursive: true });
  await requireEmptyDirectory(absolute);
  const fill: Bfloat16Fill = ({ name, shape }, into, start) => {
    fillRandomBfloat16(into, { name, shape, seed: options.seed }, start);
  };
  await writeJson(absolute, 'tokenizer.json', tokens.tokenizer);
  await writeJson(absolute, 'tokenizer_config.json', tokens.tokenizerConfig);
  await writeJson(absolute, 'generation_config.json', {
    do_sample: false,
    eos_token_id: tokens.endTokenId,
    pad_token_id: tokens.padTokenId,
  });
  await writeBfloat16Checkpoint(absolute, config, fill, {
    ...(options.shardBytesMax === undefined ? {} : { shardBytesMax: options.shardBytesMax }),
    ...(onProgress === undefined ? {} : { onProgress }),
  });
}

function requireSizes(options: RandomCheckpointOptions): void {
  const { family, vocab, seed } = options;
  if (!Number.isSafeInteger(seed)) throw badField('seed', seed, 'a safe integer');
  if (!Number.isSafeInteger(vocab) || vocab < 2) throw badField('vocab', vocab, 'at least 2');
  if (!['mixtral', 'qwen3-moe'].includes(family)) {
    throw badField('family', family, 'mixtral or qwen3-moe');
  }
}

function badField(field: string, found: unknown, expected: string): ConfigError {
  return new ConfigError('ERR_CONFIG_FIELD', {
    message: `Random checkpoint: ${field} is ${String(found)}, expected ${expected}.`,
    details: { field, found },
  });
}

async function writeJson(dir: string, name: string, value: unknown): Promise<void> {
  await writeFile(join(dir, name), `${JSON.stringify(value, undefined, 2)}\n`);
}
