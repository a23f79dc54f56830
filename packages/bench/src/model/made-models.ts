import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeRandomCheckpoint, type RandomCheckpointOptions } from '@megascale/core';

/** Sizes whose half-layers last some hundred microseconds or more on two cores. */
const sizes = { hidden: 1024, layers: 4, heads: 16, kvHeads: 4, vocab: 32_000, seed: 1 };

const models = {
  'mixtral-like': { ...sizes, family: 'mixtral', experts: 16, topK: 2, expertWidth: 1792 },
  'qwen3-moe-like': { ...sizes, family: 'qwen3-moe', experts: 64, topK: 8, expertWidth: 448 },
} as const satisfies Record<string, RandomCheckpointOptions>;

export type MadeModel = keyof typeof models;

/** Two random models of equal sizes, few large experts and many small ones. */
export const madeModels = Object.keys(models) as readonly MadeModel[];

/** The model is on disk while it is used, and then gone. */
export async function withMadeModel<Result>(
  name: MadeModel,
  use: (directory: string) => Promise<Result>,
): Promise<Result> {
  const parent = await mkdtemp(join(tmpdir(), 'megascale-made-'));
  try {
    const directory = join(parent, name);
    await makeRandomCheckpoint(directory, models[name]);
    return await use(directory);
  } finally {
    await rm(parent, { recursive: true, force: true });
  }
}
