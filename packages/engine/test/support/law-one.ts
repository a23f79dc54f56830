import { beforeAll, describe, expect, it } from 'vitest';
// Workers are processes started from the build.
import { LLM, type LlmOptions } from '../../dist/index.js';
import { randomQwen3 } from './random-checkpoint.js';
import { dictionary, mixedRequests, runRequests, type TestRequest } from './run-requests.js';

/** The number of attention workers and of expert workers, and m. */
export interface Topology {
  readonly attentionWorkers: number;
  readonly expertWorkers: number;
  readonly microBatches: number;
}

const attentionWorkerCounts = [1, 2, 3];
const expertWorkerCounts = [1, 2, 4];
const microBatchCounts = [1, 2, 3, 4];

export const topologies: readonly Topology[] = attentionWorkerCounts.flatMap((attentionWorkers) =>
  expertWorkerCounts.flatMap((expertWorkers) =>
    microBatchCounts.map((microBatches) => ({ attentionWorkers, expertWorkers, microBatches })),
  ),
);

/**
 * A pairwise covering array: every two of the three numbers come together in every combination, and
 * each of the two models with every number. A Latin square gives the number of expert workers.
 */
export function coveringTopologies(model: 0 | 1): readonly Topology[] {
  return microBatchCounts.flatMap((microBatches, row) =>
    attentionWorkerCounts.flatMap((attentionWorkers, column) => {
      const expertWorkers = expertWorkerCounts[(row + column) % expertWorkerCounts.length] ?? 1;
      return (row + column) % 2 === model
        ? [{ attentionWorkers, expertWorkers, microBatches }]
        : [];
    }),
  );
}

/** Law 1 on one model: the same tokens, bit for bit, on every topology. */
export interface LawOne {
  readonly model: 'the built-in model' | 'a random Qwen3-MoE';
  readonly topologies: readonly Topology[];
  /** Further tests, given how to run and what to expect. */
  readonly more?: (run: RunLawOne) => void;
}

export interface RunLawOne {
  readonly requests: readonly TestRequest[];
  /** Runs the requests under the options; their tokens must be those of one colocated worker. */
  readonly expectSame: (options: LlmOptions) => Promise<void>;
  /** [requests] tokens of one colocated worker. */
  readonly expected: () => readonly (readonly number[])[];
  readonly directory: string;
}

const random = randomQwen3();
const models = {
  'the built-in model': { directory: dictionary, vocabSize: 4096 },
  'a random Qwen3-MoE': { directory: random, vocabSize: 512 },
};

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

export function lawOne({ model, topologies, more }: LawOne): void {
  describe(model, () => {
    const { directory, vocabSize } = models[model];
    const requests = mixedRequests(32, vocabSize);
    let expected: (readonly number[])[] = [];
    const expectSame = async (options: LlmOptions): Promise<void> => {
      expect(await tokensOf(directory, options, requests)).toEqual(expected);
    };

    beforeAll(async () => {
      const options = { colocated: true, microBatches: 1, threads: 1 };
      expected = await tokensOf(directory, options, requests);
    });

    it('says different things to different requests', () => {
      expect(new Set(expected.map((tokens) => tokens.join())).size).toBeGreaterThan(24);
    });

    it.each(topologies)(
      'gives the same tokens on $attentionWorkers × $expertWorkers, m = $microBatches',
      expectSame,
      60_000,
    );

    more?.({ requests, expectSame, expected: () => expected, directory });
  });
}
