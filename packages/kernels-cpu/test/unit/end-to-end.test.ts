import { referenceBackend, type Backend } from '@megascale/core';
import { microBatch, SeededRandom, tinyFamilies, type TinyModel } from '@megascale/core/testing';
import { describe, expect, it } from 'vitest';
import { cpuBackend } from '../../src/index.js';
import { open } from '../support/compare.js';
import { testedIsas } from '../support/isas.js';

const isas = await testedIsas();
const promptTokens = 21;
const outputTokens = 24;

/**
 * Attention stage and expert stage in one process, prefill and greedy decode, as an engine drives
 * them.
 */
describe.each(tinyFamilies)('$family, prefill and decode', ({ make }) => {
  const model = make({ seed: 5 });
  const prompts = [1, 2].map((seed) =>
    new SeededRandom(seed).tokenIds(promptTokens, model.graph.sizes.vocabSize),
  );

  it.each(isas)('two sequences together give the tokens of each alone on %s', async (isa) => {
    const backend = await cpuBackend.create({ isa, threads: 2 });
    const together = await generate(backend, model, prompts);
    for (const [i, prompt] of prompts.entries()) {
      expect(await generate(backend, model, [prompt])).toEqual([together[i]]);
    }
    backend.close();
  });

  it.each(isas)('each next token is among the best of the reference on %s', async (isa) => {
    const backend = await cpuBackend.create({ isa, threads: 2 });
    const [prompt = []] = prompts;
    const [output = []] = await generate(backend, model, [prompt]);
    // Every token is judged on the same history, so a near tie cannot send the two apart.
    const tokenIds = [...prompt, ...output.slice(0, -1)];
    const reference = await open(await referenceBackend.create(), model.graph, model.weights);
    const logits = reference.run(microBatch({ sequences: [{ tokenIds, kvPages: [0, 1, 2] }] }));
    const { vocabSize } = model.graph.sizes;
    const largest = logits.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
    output.forEach((token, i) => {
      const row = (promptTokens - 1 + i) * vocabSize;
      const best = Math.max(...logits.subarray(row, row + vocabSize));
      expect(logits[row + token], `output token ${i}`).toBeGreaterThan(best - 0.1 * largest);
    });
    backend.close();
  });
});

/** Greedy: the prompts as one prefill, then one token of each per step. */
async function generate(
  backend: Backend,
  model: TinyModel,
  prompts: readonly (readonly number[])[],
): Promise<readonly (readonly number[])[]> {
  const colocated = await open(backend, model.graph, model.weights);
  const pages = Math.ceil((promptTokens + outputTokens) / colocated.kvPageSize);
  const kvPagesOf = (sequence: number): number[] =>
    Array.from({ length: pages }, (_, page) => page * prompts.length + sequence);
  const outputs: number[][] = prompts.map(() => []);
  for (let step = 0; step < outputTokens; step += 1) {
    const sequences = prompts.map((prompt, sequence) => ({
      tokenIds: step === 0 ? prompt : [outputs[sequence]?.at(-1) ?? NaN],
      firstPosition: step === 0 ? 0 : promptTokens + step - 1,
      kvPages: kvPagesOf(sequence),
      logits: 'last' as const,
    }));
    const logits = colocated.run(microBatch({ sequences }));
    const { vocabSize } = model.graph.sizes;
    outputs.forEach((output, sequence) => {
      const row = logits.subarray(sequence * vocabSize, (sequence + 1) * vocabSize);
      output.push(row.indexOf(Math.max(...row)));
    });
  }
  colocated.close();
  return outputs;
}
