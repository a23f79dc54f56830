import { writeFileSync } from 'node:fs';
import { UsageError } from './usage-error.js';

/**
 * Writes a file that the user asked a command for.
 *
 * @throws UsageError when it cannot be written.
 */
export function writeTextFile(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new UsageError(`Cannot write ${file}: ${(error as Error).message}.`);
  }
}
