import fc from 'fast-check';
import { expect, it } from 'vitest';
// Workers are processes started from the build.
import { LLM } from '../../dist/index.js';
import type { RunLawOne } from './law-one.js';
import { runRequests } from './run-requests.js';

/** Law 1 beyond the shape of the topology: the batch, replicas, chunks, pages, threads, gathers. */
export function lawOneOptions({ requests, expectSame, expected, directory }: RunLawOne): void {
  it('answers a request alone as in a batch of 32', async () => {
    const llm = await LLM.load(directory, { colocated: true, threads: 2 });
    for (const [index, request] of requests.entries()) {
      if (index % 4 > 1) continue;
      const [answer] = await runRequests(llm, [request]);
      expect(answer?.tokens).toEqual(expected()[index]);
    }
    await llm.close();
  }, 60_000);

  it.each([2, 3])(
    'gives the same tokens with two replicas of every expert on %i expert workers',
    (expertWorkers) =>
      expectSame({ attentionWorkers: 2, expertWorkers, expertReplicas: 2, microBatches: 3 }),
    60_000,
  );

  it('gives the same tokens for any chunk, batch and page count', async () => {
    const topology = fc.record({
      colocated: fc.boolean(),
      attentionWorkers: fc.integer({ min: 1, max: 3 }),
      expertWorkers: fc.constantFrom(1, 2, 3, 4),
      microBatches: fc.integer({ min: 1, max: 4 }),
      threads: fc.constantFrom(1, 2),
      prefillChunkTokens: fc.constantFrom(1, 7, 16, 33, 256),
      maxNumBatchedTokens: fc.constantFrom(8, 40, 512),
      kvPages: fc.constantFrom(12, 40, 400),
      kvPageSize: fc.constantFrom(16, 32),
      gather: fc.constantFrom(
        { type: 'lockstep' as const },
        { type: 'layer' as const },
        { type: 'window' as const, windowUs: 0 },
        { type: 'window' as const, windowUs: 300 },
      ),
    });
    await fc.assert(fc.asyncProperty(topology, expectSame), {
      numRuns: 8,
      seed: 20260122,
      endOnFailure: true,
    });
  }, 300_000);
}
