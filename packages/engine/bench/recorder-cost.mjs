/**
 * Measures what the flight recorder costs: decode on the built-in model with it and without, in
 * turns. Prints the median of the ratios of tokens per second.
 *
 *     npm run build && node packages/engine/bench/recorder-cost.mjs [rounds]
 */
import { fileURLToPath } from 'node:url';
import { LLM } from '../dist/index.js';

const rounds = Number(process.argv[2] ?? 15);
const model = fileURLToPath(new URL('../../../models/dictionary', import.meta.url));
const batch = 16;
const outputTokens = 200;

const load = (recorderEvents) => LLM.load(model, { threads: 1, microBatches: 2, recorderEvents });

async function tokensPerSecond(llm) {
  const start = performance.now();
  await Promise.all(
    Array.from({ length: batch }, async (_, index) => {
      const options = { maxTokens: outputTokens, ignoreEos: true, temperature: 0 };
      for await (const piece of llm.generate([5 + index, 6, 7], options)) {
        if (piece.finishReason !== undefined) return;
      }
    }),
  );
  return (batch * outputTokens) / ((performance.now() - start) / 1000);
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const on = await load(16_384);
const off = await load(0);
const ratios = [];
for (let round = -1; round < rounds; round += 1) {
  // The engine that goes second finds the machine as the first one left it.
  const first = round % 2 === 0 ? on : off;
  const second = first === on ? off : on;
  const rates = new Map([[first, await tokensPerSecond(first)]]);
  rates.set(second, await tokensPerSecond(second));
  if (round >= 0) ratios.push(rates.get(on) / rates.get(off));
}
await Promise.all([on.close(), off.close()]);
const sorted = ratios.toSorted((a, b) => a - b);
console.log(
  `with over without: ${median(ratios).toFixed(4)} ` +
    `(${sorted[0].toFixed(3)} … ${sorted.at(-1).toFixed(3)}), ${rounds} rounds in turns`,
);
