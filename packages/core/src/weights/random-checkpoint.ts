import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ConfigError } from '../errors.js';
import { buildModelGraph } from '../families/registry.js';
import type { WeightRef } from '../graph/ops.js';
import { requiredWeights } from './check-weights.js';
import { randomConfig, type RandomModelOptions } from './random-config.js';
import { randomTokenizer } from './random-tokenizer.js';
import { elementCount } from './random-weight-source.js';
import { fillRandomBfloat16 } from './random-weights.js';
import { writeCheckpointTensors, type CheckpointWriteOptions } from './write-checkpoint-tensors.js';
import type { TensorToWrite } from './write-safetensors.js';

export interface RandomCheckpointOptions
  extends RandomModelOptions, Pick<CheckpointWriteOptions, 'shardBytesMax'> {
  /** Any safe integer; its low 32 bits count. */
  readonly seed: number;
}

/** Elements made and written at once. */
const chunkElements = 1 << 20;

/**
 * Writes a model of made-up weights in Hugging Face layout: config.json, generation_config.json (greedy), bf16 safetensors,
 * tokenizer.json and tokenizer_config.json with a chat template. The same options give the same bytes.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' when a size is impossible or `dir` is not empty; BackendError 'ERR_SHAPE' when the sizes
 * do not fit each other.
 */
export async function makeRandomCheckpoint(
  dir: string,
  options: RandomCheckpointOptions,
  onProgress?: CheckpointWriteOptions['onProgress'],
): Promise<void> {
  requireSizes(options);
  const tokens = randomTokenizer(options.vocab);
  const config = randomConfig(options, { end: tokens.endTokenId });
  const weights = requiredWeights(buildModelGraph(config));
  const absolute = resolve(dir);
  await mkdir(absolute, { recursive: true });
  await requireEmpty(absolute);
  await writeCheckpointTensors(
    absolute,
    weights.map((ref) => randomTensorToWrite(ref, options.seed)),
    {
      ...(options.shardBytesMax === undefined ? {} : { shardBytesMax: options.shardBytesMax }),
      ...(onProgress === undefined ? {} : { onProgress }),
    },
  );
  const generation = {
    do_sample: false,
    eos_token_id: tokens.endTokenId,
    pad_token_id: tokens.padTokenId,
  };
  await writeJson(absolute, 'tokenizer.json', tokens.tokenizer);
  await writeJson(absolute, 'tokenizer_config.json', tokens.tokenizerConfig);
  await writeJson(absolute, 'generation_config.json', generation);
  await writeJson(absolute, 'config.json', config);
}

/** A random tensor for `writeCheckpointTensors`, made piece by piece. */
export function randomTensorToWrite({ name, shape }: WeightRef, seed: number): TensorToWrite {
  const count = elementCount(shape);
  return {
    name,
    dtype: 'BF16',
    shape,
    *chunks() {
      const chunk = new Uint16Array(Math.min(count, chunkElements));
      for (let start = 0; start < count; start += chunk.length) {
        const part = chunk.subarray(0, Math.min(chunk.length, count - start));
        fillRandomBfloat16(part, { name, shape, seed }, start);
        yield new Uint8Array(part.buffer, 0, part.byteLength);
      }
    },
  };
}

function requireSizes(options: RandomCheckpointOptions): void {
  const { family, vocab, seed } = options;
  if (!Number.isSafeInteger(seed)) throw badField('seed', seed, 'a safe integer');
  if (!Number.isSafeInteger(vocab) || vocab < 2) throw badField('vocab', vocab, 'at least 2');
  if (!['mixtral', 'qwen3-moe'].includes(family)) {
    throw badField('family', family, 'mixtral or qwen3-moe');
  }
}

async function requireEmpty(dir: string): Promise<void> {
  const entries = await readdir(dir);
  if (entries.length > 0) {
    throw badField(
      'dir',
      dir,
      `an empty directory, but it holds ${entries.slice(0, 3).join(', ')}`,
    );
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
