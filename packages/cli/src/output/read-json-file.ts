import { readFileSync, statSync } from 'node:fs';
import { UsageError } from './usage-error.js';

/** Largest file in bytes that a command reads whole: a configuration, a catalogue, a plan. */
const bytesMax = 16 * 1024 * 1024;

/** @throws UsageError when the file cannot be read, is too long, or is not JSON. */
export function readJsonFile(file: string): unknown {
  const text = readTextFile(file);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${file} is not JSON: ${(error as Error).message}.`);
  }
}

/** @throws UsageError when the file cannot be read or is too long. */
export function readTextFile(file: string): string {
  try {
    const stat = statSync(file);
    if (!stat.isFile()) throw new Error('it is not a file');
    if (stat.size > bytesMax) throw new Error(`its ${stat.size} bytes are more than ${bytesMax}`);
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(`Cannot read ${file}: ${(error as Error).message}.`);
  }
}
