/**
 * Places sequences with unequal contexts on two attention workers by tokens and by predicted
 * attention time, in turns. Measures how unequal the attention of the workers is (the busiest over
 * their mean), and how long everything takes. The attention stage of the null backend takes a fixed
 * time and 2 µs per key; one request in eight has a long prompt.
 *
 *     npm run build && node packages/engine/bench/place-by.mjs [rounds]
 */
import { rmSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeRandomCheckpoint } from '@megascale/core';
import { LLM, pipelineNumbers } from '../dist/index.js';

const rounds = Number(process.argv[2] ?? 3);
const directory = mkdtempSync(join(tmpdir(), 'megascale-place-by-'));
await makeRandomCheckpoint(directory, {
  family: 'mixtral',
  hidden: 64,
  layers: 4,
  experts: 4,
  topK: 2,
  expertWidth: 64,
  heads: 2,
  kvHeads: 1,
  vocab: 512,
  positions: 1024,
  seed: 1,
});

const load = (placeBy) =>
  LLM.load(directory, {
    placeBy,
    backend: 'null',
    threads: 1,
    attentionWorkers: 2,
    microBatches: 2,
    prefixSharing: false,
    gather: { type: 'lockstep' },
    backendSettings: { attendUs: 300, attendContextTokenUs: 2, expertUs: 200 },
  });

/**
 * Returns the requests of a round: long prompts with short outputs, short ones with long outputs.
 */
function requests(round) {
  return Array.from({ length: 32 }, (_, index) => {
    const long = (index * 5 + round) % 8 === 0;
    return {
      prompt: Array.from({ length: long ? 400 : 8 }, (__, at) => 5 + ((at * 7 + index) % 500)),
      maxTokens: long ? 16 : 48,
    };
  });
}

async function ask(llm, { prompt, maxTokens }) {
  const options = { maxTokens, ignoreEos: true, temperature: 0 };
  for await (const piece of llm.generate(prompt, options)) {
    if (piece.finishReason !== undefined) return;
  }
}

async function play(llm, round) {
  const start = performance.now();
  // In twos, so that what was learnt of the first decides about the next.
  const running = [];
  for (const request of requests(round)) {
    running.push(ask(llm, request));
    if (running.length % 2 === 0) await new Promise((resolve) => setTimeout(resolve, 4));
  }
  await Promise.all(running);
  const seconds = (performance.now() - start) / 1000;
  const { attentionImbalance } = pipelineNumbers(await llm.recordings());
  return { seconds, attentionImbalance };
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const models = { tokens: await load('tokens'), time: await load('time') };
const taken = { tokens: [], time: [] };
for (let round = -1; round < rounds; round += 1) {
  for (const by of round % 2 === 0 ? ['tokens', 'time'] : ['time', 'tokens']) {
    const result = await play(models[by], round + 1);
    if (round >= 0) taken[by].push(result);
  }
}
for (const [by, results] of Object.entries(taken)) {
  const imbalance = median(results.map(({ attentionImbalance }) => attentionImbalance));
  const seconds = median(results.map((result) => result.seconds));
  console.log(
    `placed by ${by.padEnd(6)}  busiest over mean ${imbalance.toFixed(3)}  ${seconds.toFixed(2)} s`,
  );
}
await Promise.all([models.tokens.close(), models.time.close()]);
rmSync(directory, { recursive: true, force: true });
