import { readFileSync } from 'node:fs';

/**
 * Returns this package's version. The built program lies one directory below package.json, this
 * source file two.
 */
export function readVersion(): string {
  for (const path of ['../package.json', '../../package.json']) {
    try {
      const text = readFileSync(new URL(path, import.meta.url), 'utf8');
      return (JSON.parse(text) as { readonly version: string }).version;
    } catch {
      continue;
    }
  }
  return 'unknown';
}
