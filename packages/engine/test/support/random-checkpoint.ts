import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeRandomCheckpoint } from '@megascale/core';
import { afterAll, beforeAll } from 'vitest';

/**
 * The directory of a small random Qwen3-MoE, which is there while the tests of this file run.
 * Vocabulary: 512.
 */
export function randomQwen3(): string {
  const directory = mkdtempSync(join(tmpdir(), 'megascale-qwen3-'));
  beforeAll(async () => {
    await makeRandomCheckpoint(directory, {
      family: 'qwen3-moe',
      hidden: 64,
      layers: 4,
      experts: 16,
      topK: 4,
      expertWidth: 40,
      heads: 4,
      kvHeads: 2,
      headSize: 24,
      vocab: 512,
      positions: 512,
      seed: 7,
    });
  });
  afterAll(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  return directory;
}
