import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { WeightSource } from '../../spec/weight-source.js';
import { fileWeightSource } from './file-weight-source.js';
import { readGenerationConfig, type GenerationConfig } from './generation-config.js';
import { missingCheckpoint } from './checkpoint-errors.js';
import { requireModelDirectory } from './model-directory.js';
import { readQuantizationConfig } from '../quantized/quantization-config.js';
import { readJsonObject } from './read-json-object.js';
import { readSafetensorsHeader } from '../safetensors/read-safetensors-header.js';
import { readShardIndex } from './shard-index.js';

/** What a model directory says without its tensors. */
export interface ModelConfig {
  /** Absolute. */
  readonly dir: string;
  /** config.json, parsed and otherwise unchecked: for `buildModelGraph`. */
  readonly config: unknown;
  readonly generationConfig: GenerationConfig;
}

export interface Checkpoint extends ModelConfig {
  readonly weights: WeightSource;
}

const layout =
  'Give a directory in Hugging Face layout: config.json, tokenizer.json, *.safetensors.';

/**
 * Opens a model directory in Hugging Face layout: reads config.json and the headers of
 * model.safetensors, or of the shards that model.safetensors.index.json names. No tensor is read
 * yet, and nothing is to close.
 *
 * @throws ConfigError 'ERR_CHECKPOINT_MISSING', 'ERR_CHECKPOINT_CORRUPT', 'ERR_CONFIG_FIELD'
 * (generation_config.json, quantization_config) or 'ERR_WEIGHT_FORMAT'.
 */
export function openCheckpoint(dir: string): Checkpoint {
  const model = openModelConfig(dir);
  const forms = readQuantizationConfig(model.config);
  const files = weightFiles(model.dir);
  return { ...model, weights: fileWeightSource(model.dir, files, forms) };
}

/** The same without the weights, for those who only plan. */
export function openModelConfig(dir: string): ModelConfig {
  const absolute = requireModelDirectory(dir);
  const config = readJsonObject(join(absolute, 'config.json'));
  return { dir: absolute, config, generationConfig: readGenerationConfig(absolute, config) };
}

function weightFiles(dir: string): ReturnType<typeof readShardIndex> {
  const single = join(dir, 'model.safetensors');
  if (existsSync(single)) return new Map([[single, readSafetensorsHeader(single)]]);
  const index = join(dir, 'model.safetensors.index.json');
  if (existsSync(index)) return readShardIndex(index);
  const other = ['pytorch_model.bin', 'pytorch_model.bin.index.json'].some((name) =>
    existsSync(join(dir, name)),
  );
  throw missingCheckpoint(
    `${dir} has neither model.safetensors nor model.safetensors.index.json`,
    other ? 'Convert its .bin files to safetensors: they may run code when read.' : layout,
  );
}
