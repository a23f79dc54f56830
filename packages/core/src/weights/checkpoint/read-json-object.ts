import { readFileSync } from 'node:fs';
import { corruptFile, missingCheckpoint } from './checkpoint-errors.js';

/**
 * Parses a JSON file of a checkpoint that must hold an object.
 *
 * @throws ConfigError 'ERR_CHECKPOINT_MISSING' when it cannot be read, 'ERR_CHECKPOINT_CORRUPT'
 * when it is not JSON or not an object.
 */
export function readJsonObject(file: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw missingCheckpoint(
      `${file} cannot be read`,
      'Give a directory in Hugging Face layout: config.json, tokenizer.json, *.safetensors.',
      cause,
    );
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw corruptFile(file, `it is not JSON (${cause instanceof Error ? cause.message : ''})`);
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw corruptFile(file, 'it is not a JSON object');
  }
  return json as Record<string, unknown>;
}
