/**
 * Decode of one model in several weight formats: milliseconds per step, and tokens per second as a
 * ratio to the first.
 *
 *     node packages/kernels-cpu/bench/formats.mjs MODEL OTHER… [--threads 2] [--rounds 15] [--isa NAME]      after a build
 *
 * Both halves in this process with nothing between; the same random tokens for all. The models take
 * turns, a few steps each, so that a change of clock meets all of them; medians of the rounds'
 * means.
 */
import { buildModelGraph, openCheckpoint } from '@megascale/core';
import { microBatch, openColocated, SeededRandom } from '@megascale/core/testing';
import { cpuBackend } from '../dist/index.js';

const batches = [1, 16, 64];
const stepsPerRound = 6;
const contextTokens = 32;

const options = new Map();
const dirs = [];
for (let i = 2; i < process.argv.length; i += 1) {
  if (process.argv[i].startsWith('--'))
    options.set(process.argv[i].slice(2), process.argv[(i += 1)]);
  else dirs.push(process.argv[i]);
}
const threads = Number(options.get('threads') ?? 2);
const rounds = Number(options.get('rounds') ?? 15);
const isa = options.get('isa') ?? '';

const backend = await cpuBackend.create({ threads, isa });
const models = [];
for (const dir of dirs) {
  const { config, weights } = openCheckpoint(dir);
  const model = buildModelGraph(config);
  models.push(
    await openColocated({
      backend,
      model,
      weights,
      kvPageCount: 64 * 4,
      tokensPerMicroBatchMax: 64,
    }),
  );
}

const random = new SeededRandom(1);
const { vocabSize } = models[0].model.sizes;
const step = (batch, position) =>
  microBatch({
    sequences: Array.from({ length: batch }, (_, sequence) => ({
      tokenIds: random.tokenIds(1, vocabSize),
      firstPosition: position,
      kvPages: [0, 1, 2, 3].map((page) => 4 * sequence + page),
    })),
  });

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
console.log(`isa ${backend.isa}, ${threads} threads, median of ${rounds}`);
for (const batch of batches) {
  const steps = Array.from({ length: stepsPerRound }, (_, i) => step(batch, contextTokens + i));
  for (const model of models) {
    for (let position = 0; position < contextTokens; position += 1)
      model.run(step(batch, position));
  }
  const times = models.map(() => []);
  for (let round = 0; round < rounds; round += 1) {
    models.forEach((model, i) => {
      const start = performance.now();
      for (const each of steps) model.run(each);
      times[i].push((performance.now() - start) / stepsPerRound);
    });
  }
  dirs.forEach((dir, i) => {
    const ratios = times[i].map((time, round) => times[0][round] / time);
    console.log(
      `batch ${batch}  ${dir}  ${median(times[i]).toFixed(2)} ms a step, ×${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)})`,
    );
  });
}
backend.close();
