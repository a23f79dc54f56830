import { existsSync, readdirSync, statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { ConfigError } from '../../errors.js';
import { missingCheckpoint } from './checkpoint-errors.js';

const layout =
  'A model directory holds config.json, tokenizer.json, and model.safetensors or ' +
  'model.safetensors.index.json with its shards.';
const ggufRemedy =
  'GGUF files are not read. Download the original model (hf download ORG/NAME --local-dir DIR) ' +
  'and give DIR; megascale quantize makes it as small.';
/** 'mistralai/Mixtral-8x7B-v0.1': an organization and a name. */
const hubName = /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/;

/**
 * Returns the absolute path of a model directory that has a config.json.
 *
 * @throws ConfigError 'ERR_CHECKPOINT_MISSING' for anything else. The text says what to do: how to
 * download the model that a hub name means, and which directory to give for a file.
 */
export function requireModelDirectory(path: string): string {
  const absolute = resolve(path);
  const status = statSync(absolute, { throwIfNoEntry: false });
  if (status === undefined) {
    throw missingCheckpoint(`There is no directory ${absolute}`, absentRemedy(path));
  }
  if (!status.isDirectory()) {
    throw missingCheckpoint(`${absolute} is not a directory`, fileRemedy(absolute));
  }
  if (existsSync(join(absolute, 'config.json'))) return absolute;
  const names = readdirSync(absolute);
  const what = `${absolute} has no config.json${names.length === 0 ? ': it is empty' : ''}`;
  throw missingCheckpoint(what, directoryRemedy(absolute, names));
}

/**
 * Checks a directory that a checkpoint is to be written into.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' naming what the directory holds.
 */
export async function requireEmptyDirectory(dir: string): Promise<void> {
  const entries = await readdir(dir);
  if (entries.length === 0) return;
  const found = entries.slice(0, 3).join(', ');
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message:
      `${dir} holds ${found}; expected a new or empty directory. Give another one, or remove ` +
      'what is there.',
    details: { field: 'dir', found: entries.slice(0, 3) },
  });
}

function absentRemedy(path: string): string {
  if (!hubName.test(path) || existsSync(dirname(resolve(path)))) return `Check the path. ${layout}`;
  const copy = basename(path);
  return (
    `If ${path} is a model on the Hugging Face hub, download it and give the copy: ` +
    `hf download ${path} --local-dir ${copy} && megascale serve ${copy}. ` +
    `The command hf comes with: pip install huggingface_hub. ${layout}`
  );
}

function fileRemedy(file: string): string {
  if (extname(file) === '.gguf') return ggufRemedy;
  const isPart = ['.safetensors', '.json'].includes(extname(file));
  return isPart ? `Give the directory it lies in: ${dirname(file)}.` : layout;
}

function directoryRemedy(directory: string, names: readonly string[]): string {
  if (names.length === 0) {
    return `Download a model into it: hf download ORG/NAME --local-dir ${directory}. ${layout}`;
  }
  // The hub's own cache keeps one directory for each revision of a model.
  const [revision] = names.includes('snapshots') ? readdirSync(join(directory, 'snapshots')) : [];
  if (revision !== undefined) return `Give ${join(directory, 'snapshots', revision)}.`;
  return names.some((name) => name.endsWith('.gguf')) ? ggufRemedy : layout;
}
