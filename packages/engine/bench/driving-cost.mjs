/**
 * Measures what it costs to drive a step from TypeScript: the time per layer and micro-batch
 * outside native calls, and its share of the step.
 *
 *     node packages/engine/bench/driving-cost.mjs [MODEL ...] [--json]
 *
 * The default is the built-in model.
 *
 * Native calls are timed at their border, the call itself included. What is left is TypeScript:
 * planning, batching, the loop over actions, dispatching (counting rows, writing headers), choosing
 * tokens. Decode of B sequences; several runs, interleaved over the topologies, medians. On a
 * shared machine only the shares and the ratios mean something.
 */
import { fileURLToPath } from 'node:url';
import { LLM } from '../dist/index.js';

const runs = 5;
const outputTokens = 48;
const promptTokens = 16;
const batches = [1, 8, 32];
const topologies = [
  { name: 'colocated, m = 1', options: { colocated: true, microBatches: 1, threads: 1 } },
  { name: 'colocated, m = 2', options: { colocated: true, microBatches: 2, threads: 1 } },
  { name: '1 × 1 over shm, m = 1', options: { microBatches: 1, threads: 1 } },
  { name: '1 × 1 over shm, m = 2', options: { microBatches: 2, threads: 1 } },
  { name: '1 × 1 over shm, m = 3', options: { microBatches: 3, threads: 1 } },
];

const json = process.argv.includes('--json');
const named = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
const builtIn = fileURLToPath(new URL('../../../models/dictionary', import.meta.url));
const rows = [];

for (const model of named.length > 0 ? named : [builtIn]) {
  const engines = [];
  for (const { name, options } of topologies) {
    engines.push({ name, llm: await LLM.load(model, options), samples: new Map() });
  }
  for (let run = 0; run < runs + 1; run += 1) {
    for (const engine of engines) {
      for (const batch of batches) {
        const sample = await measure(engine.llm, batch);
        // The first run warms caches and compilers.
        if (run > 0) engine.samples.set(batch, [...(engine.samples.get(batch) ?? []), sample]);
      }
    }
  }
  for (const { name, llm, samples } of engines) {
    for (const [batch, taken] of samples) rows.push(summary(llm.info.name, name, batch, taken));
    await llm.close();
  }
}
if (json) console.log(JSON.stringify({ runs, outputTokens, promptTokens, rows }));
else print(rows);

async function measure(llm, batch) {
  const before = (await llm.stats()).stepTime;
  await Promise.all(
    Array.from({ length: batch }, async (_, index) => {
      const prompt = Array.from({ length: promptTokens }, (__, at) => 10 + index * 17 + at);
      const options = { maxTokens: outputTokens, ignoreEos: true, temperature: 0 };
      for await (const piece of llm.generate(prompt, options)) void piece;
    }),
  );
  const after = (await llm.stats()).stepTime;
  return Object.fromEntries(Object.keys(after).map((key) => [key, after[key] - before[key]]));
}

function summary(model, topology, batch, samples) {
  const perHalfLayer = (pick) => samples.map((sample) => pick(sample) / sample.halfLayers);
  const share = (pick) => samples.map((sample) => pick(sample) / sample.totalUs);
  const outside = (sample) => sample.drivingUs + sample.dispatchUs;
  return {
    model,
    topology,
    batch,
    outsideUs: spread(perHalfLayer(outside)),
    outsideShare: spread(share(outside)),
    dispatchUs: spread(perHalfLayer((sample) => sample.dispatchUs)),
    computeUs: spread(perHalfLayer((sample) => sample.computeUs)),
    waitUs: spread(perHalfLayer((sample) => sample.waitUs)),
    samplingShare: spread(share((sample) => sample.samplingUs)),
  };
}

function spread(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return { min: sorted[0], median: sorted[Math.floor(sorted.length / 2)], max: sorted.at(-1) };
}

function print(all) {
  const us = ({ min, median, max }) => `${median.toFixed(1)} (${min.toFixed(1)}–${max.toFixed(1)})`;
  const percent = ({ min, median, max }) =>
    `${(median * 100).toFixed(1)} % (${(min * 100).toFixed(1)}–${(max * 100).toFixed(1)})`;
  console.log('Per layer and micro-batch, microseconds: median (min–max) of', runs, 'runs\n');
  console.log(
    '| model | topology | batch | native | waiting | outside native calls | of it dispatch ' +
      '| share of the step | sampling |',
  );
  console.log('|---|---|---|---|---|---|---|---|---|');
  for (const row of all) {
    console.log(
      `| ${row.model} | ${row.topology} | ${row.batch} | ${us(row.computeUs)} ` +
        `| ${us(row.waitUs)} | ${us(row.outsideUs)} | ${us(row.dispatchUs)} ` +
        `| ${percent(row.outsideShare)} | ${percent(row.samplingShare)} |`,
    );
  }
}
