/**
 * Counts the prompt tokens that 64 requests compute which share a prompt of 1,024 tokens and have
 * two of their own, and the cached tokens that each reports. It times nothing.
 *
 *     npm run build && node packages/engine/bench/prefix-work.mjs
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeRandomCheckpoint } from '@megascale/core';
import { LLM } from '../dist/index.js';

const [requests, commonTokens, ownTokens] = [64, 1024, 2];
const directory = mkdtempSync(join(tmpdir(), 'megascale-prefix-work-'));
await makeRandomCheckpoint(directory, {
  family: 'qwen3-moe',
  hidden: 64,
  layers: 2,
  experts: 8,
  topK: 2,
  expertWidth: 32,
  heads: 2,
  kvHeads: 1,
  vocab: 512,
  positions: 2048,
  seed: 1,
});
const llm = await LLM.load(directory, { threads: 1, microBatches: 2 });
const common = Array.from({ length: commonTokens }, (_, at) => 5 + ((at * 7919) % 500));
const cached = await Promise.all(
  Array.from({ length: requests }, async (_, index) => {
    const options = { maxTokens: 1, ignoreEos: true, temperature: 0 };
    for await (const { usage } of llm.generate([...common, 7 + index, 9], options)) {
      if (usage !== undefined) return usage.cachedPromptTokens ?? 0;
    }
  }),
);
const { computedTokensTotal } = await llm.stats();
const least = commonTokens + requests * ownTokens;
console.log(
  `${computedTokensTotal} prompt tokens computed, ` +
    `${(computedTokensTotal / least).toFixed(3)} × one prompt plus the tails (${least})`,
);
console.log(`cached: ${[...new Set(cached)].join(' or ')} of ${commonTokens + ownTokens}`);
await llm.close();
rmSync(directory, { recursive: true, force: true });
