import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
// Workers are processes started from the build.
import { LLM, type LlmOptions } from '../../dist/index.js';
import { randomQwen3 } from '../support/random-checkpoint.js';
import {
  dictionary,
  mixedRequests,
  runRequests,
  type TestRequest,
} from '../support/run-requests.js';

/** Law 1: the tokens of a request are bit-identical whatever the topology, the batch and the chunking. */
const attentionWorkerCounts = [1, 2, 3];
const expertWorkerCounts = [1, 2, 4];
const microBatchCounts = [1, 2, 3, 4];

const random = randomQwen3();

async function tokensOf(
  directory: string,
  options: LlmOptions,
  requests: readonly TestRequest[],
): Promise<(readonly number[])[]> {
  const llm = await LLM.load(directory, options);
  try {
    const answers = await runRequests(llm, requests);
    const { kvPagesFree, kvPagesTotal } = await settled(llm);
    expect(kvPagesFree).toBe(kvPagesTotal);
    return answers.map(({ tokens }) => tokens);
  } finally {
    await llm.close();
  }
}

/** Workers report once they are idle again. */
async function settled(llm: LLM): Promise<Awaited<ReturnType<LLM['stats']>>> {
  for (;;) {
    const stats = await llm.stats();
    if (stats.requestsRunning === 0 && stats.kvPagesFree === stats.kvPagesTotal) return stats;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe.each([
  ['the built-in model', dictionary, 4096],
  ['a random Qwen3-MoE', random, 512],
])('%s', (_, directory, vocabSize) => {
  const requests = mixedRequests(32, vocabSize);
  let expected: (readonly number[])[];

  beforeAll(async () => {
    expected = await tokensOf(
      directory,
      { colocated: true, microBatches: 1, threads: 1 },
      requests,
    );
  });

  it('says different things to different requests', () => {
    expect(new Set(expected.map((tokens) => tokens.join())).size).toBeGreaterThan(24);
  });

  it('answers a request alone as in a batch of 32', async () => {
    const llm = await LLM.load(directory, { colocated: true, threads: 2 });
    for (const [index, request] of requests.entries()) {
      if (index % 4 > 1) continue;
      const [answer] = await runRequests(llm, [request]);
      expect(answer?.tokens).toEqual(expected[index]);
    }
    await llm.close();
  }, 60_000);

  const topologies = attentionWorkerCounts.flatMap((attentionWorkers) =>
    expertWorkerCounts.flatMap((expertWorkers) =>
      microBatchCounts.map((microBatches) => ({ attentionWorkers, expertWorkers, microBatches })),
    ),
  );
  it.each(topologies)(
    'gives the same tokens on $attentionWorkers × $expertWorkers, m = $microBatches',
    async (topology) => {
      expect(await tokensOf(directory, topology, requests)).toEqual(expected);
    },
    60_000,
  );

  it.each([2, 3])(
    'gives the same tokens with two replicas of every expert on %i expert workers',
    async (expertWorkers) => {
      const topology = { attentionWorkers: 2, expertWorkers, expertReplicas: 2, microBatches: 3 };
      expect(await tokensOf(directory, topology, requests)).toEqual(expected);
    },
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
    await fc.assert(
      fc.asyncProperty(topology, async (options) => {
        expect(await tokensOf(directory, options, requests)).toEqual(expected);
      }),
      { numRuns: 8, seed: 20260122, endOnFailure: true },
    );
  }, 300_000);
});
