import { readdir } from 'node:fs/promises';
import { ConfigError } from '../../errors.js';

/** @throws ConfigError 'ERR_CONFIG_FIELD' naming what the directory holds. */
export async function requireEmptyDirectory(dir: string): Promise<void> {
  const entries = await readdir(dir);
  if (entries.length === 0) return;
  const found = entries.slice(0, 3).join(', ');
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `${dir} holds ${found}; expected a new or empty directory. Give another one, or remove what is there.`,
    details: { field: 'dir', found: entries.slice(0, 3) },
  });
}
