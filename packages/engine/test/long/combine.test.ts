import { describe, expect, it } from 'vitest';
// Workers are processes started from the build.
import { LLM, type LlmOptions } from '../../dist/index.js';
import { randomQwen3 } from '../support/random-checkpoint.js';
import { collect, dictionary, mixedRequests, runRequests } from '../support/run-requests.js';

const random = randomQwen3();

async function withModel<Result>(
  directory: string,
  options: LlmOptions,
  use: (llm: LLM) => Promise<Result>,
): Promise<Result> {
  const llm = await LLM.load(directory, options);
  try {
    return await use(llm);
  } finally {
    await llm.close();
  }
}

/** Log-probabilities of the 21 likeliest first tokens after each prompt, by token id. */
async function distributions(llm: LLM, prompts: readonly (readonly number[])[]) {
  return Promise.all(
    prompts.map(async (prompt) => {
      const { last } = await collect(llm, prompt, { maxTokens: 1, temperature: 0, logprobs: 20 });
      const [token] = last?.tokens ?? [];
      return new Map(token?.topLogprobs?.map(({ id, logprob }) => [id, logprob] as const));
    }),
  );
}

/** Over the tokens that both lists have. */
function divergence(p: ReadonlyMap<number, number>, q: ReadonlyMap<number, number>): number {
  let sum = 0;
  for (const [id, logprob] of p) {
    const other = q.get(id);
    // p·ln(p/q) − p + q is the divergence's term, at least 0 each, so that cutting the list cuts no
    // sign.
    if (other !== undefined) {
      sum += Math.exp(logprob) * (logprob - other) - Math.exp(logprob) + Math.exp(other);
    }
  }
  return sum;
}

describe.each([
  ['the built-in model', dictionary, 4096],
  ['a random Qwen3-MoE', random, 512],
])("combine: 'expert' on %s", (_, directory, vocabSize) => {
  const requests = mixedRequests(24, vocabSize);

  it.each([2, 3])(
    'gives the same tokens for any batch, micro-batches and chunks on %i expert workers',
    async (expertWorkers) => {
      const placed = { combine: 'expert', expertWorkers } as const;
      const expected = await withModel(directory, { ...placed, microBatches: 1 }, async (llm) => {
        const answers = [];
        for (const request of requests) answers.push(...(await runRequests(llm, [request])));
        return answers.map(({ tokens }) => tokens);
      });
      for (const options of [
        { attentionWorkers: 2, microBatches: 3, prefillChunkTokens: 7 },
        { microBatches: 4, gather: { type: 'lockstep' }, maxNumBatchedTokens: 40 },
        { attentionWorkers: 2, gather: { type: 'window', windowUs: 300 }, kvPages: 40 },
      ] satisfies LlmOptions[]) {
        const answers = await withModel(directory, { ...placed, ...options }, (llm) =>
          runRequests(llm, requests),
        );
        expect(answers.map(({ tokens }) => tokens)).toEqual(expected);
      }
    },
    120_000,
  );
});

it('stays close to what the attention worker sums, on the built-in model', async () => {
  const prompts = mixedRequests(24, 4096).map(({ prompt }) => prompt as readonly number[]);
  const exact = await withModel(dictionary, { colocated: true }, (llm) =>
    distributions(llm, prompts),
  );
  for (const expertWorkers of [1, 2, 4]) {
    const options = { combine: 'expert', expertWorkers } as const;
    const summed = await withModel(dictionary, options, (llm) => distributions(llm, prompts));
    const divergences = exact.map((p, index) => divergence(p, summed[index] ?? new Map()));
    const shared = exact.map((p, index) => [...p.keys()].filter((id) => summed[index]?.has(id)));
    expect(Math.min(...shared.map(({ length }) => length))).toBeGreaterThan(10);
    expect(Math.max(...divergences)).toBeGreaterThan(0);
    expect(Math.max(...divergences)).toBeLessThan(0.01);
  }
}, 120_000);
