import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeRandomCheckpoint } from '@megascale/core';

/**
 * A model whose sizes cost nothing, for the null backend: it exists during `use`, in the system's
 * directory for such.
 */
export async function withSmallModel<T>(
  layers: number,
  use: (directory: string) => Promise<T>,
): Promise<T> {
  const parent = await mkdtemp(join(tmpdir(), 'megascale-pipeline-'));
  try {
    const directory = join(parent, 'model');
    await makeRandomCheckpoint(directory, {
      family: 'mixtral',
      layers,
      hidden: 32,
      experts: 8,
      topK: 2,
      expertWidth: 32,
      heads: 2,
      kvHeads: 1,
      vocab: 512,
      seed: 0,
    });
    return await use(directory);
  } finally {
    await rm(parent, { recursive: true, force: true });
  }
}
