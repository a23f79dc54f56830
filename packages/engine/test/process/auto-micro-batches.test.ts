import { describe, expect, it } from 'vitest';
import { LLM, type LlmOptions } from '../../src/index.js';
import { randomQwen3 } from '../support/random-checkpoint.js';

const directory = randomQwen3();

/** Halves of 300 µs over a link of this latency, eight sequences. */
async function settledCount(latencyUs: number, options: LlmOptions = {}): Promise<number> {
  const llm = await LLM.load(
    directory,
    {
      backend: 'null',
      backendSettings: { attendTokenUs: 300, expertRowUs: 75 },
      microBatches: 'auto',
      gather: { type: 'lockstep' },
      threads: 1,
      emulatedLink: { latencyUs },
      ...options,
    },
    { workerFile: new URL('../../dist/worker-process-main.js', import.meta.url) },
  );
  try {
    await Promise.all(
      Array.from({ length: 8 }, async (_, index) => {
        const pieces = llm.generate([index + 1], { maxTokens: 100, ignoreEos: true });
        for await (const piece of pieces) if (piece.finishReason !== undefined) return;
      }),
    );
    return (await llm.stats()).microBatches;
  } finally {
    await llm.close();
  }
}

describe('m that is chosen', () => {
  it('has no more than it may, whatever the link', async () => {
    expect(await settledCount(3000, { microBatchesMax: 2 })).toBeLessThanOrEqual(2);
  });

  it('is 1 where both stages are in one worker', async () => {
    const llm = await LLM.load(
      directory,
      { backend: 'null', microBatches: 'auto', colocated: true },
      { workerFile: new URL('../../dist/worker-process-main.js', import.meta.url) },
    );
    expect(llm.info.topology.microBatches).toBe(1);
    await llm.close();
  });
});
