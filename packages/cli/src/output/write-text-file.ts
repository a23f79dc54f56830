import { writeFileSync } from 'node:fs';
import { UsageError } from './usage-error.js';

/** Writes what a command was asked to leave in a file. @throws UsageError when the file cannot be written. */
export function writeTextFile(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new UsageError(`Cannot write ${file}: ${(error as Error).message}.`);
  }
}
