/**
 * How long a model's weights take to load, beside the time to copy the same bytes: the files,
 * mapped and in the page cache, into fresh memory of huge pages.
 *
 *     node packages/kernels-cpu/bench/load.mjs MODEL [--threads 2] [--rounds 5]      after a build, native code included
 *
 * Copy and load take turns in one process; medians, and the ratio of each round. Load is the
 * creation of both stages. Peak memory is what the process held at most after a load, above what it
 * held before.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { buildModelGraph, expertId, openCheckpoint, partition } from '@megascale/core';
import { cpuBackend } from '../dist/index.js';

const [dir] = process.argv.slice(2);
const option = (name, standard) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? standard : Number(process.argv[at + 1]);
};
const threads = option('threads', 2);
const rounds = option('rounds', 5);

const addon = createRequire(import.meta.url)('../build/Release/kernels_cpu.node');
const pool = new addon.Backend(threads, 'scalar');
const { config, weights } = openCheckpoint(dir);
const program = partition(buildModelGraph(config));
const all = Array.from({ length: program.expert.sizes.expertCount }, (_, id) => expertId(id));
const experts = program.expert.stages.map(() => all);
const files = readdirSync(dir)
  .filter((name) => name.endsWith('.safetensors'))
  .map((name) => join(dir, name));

async function load() {
  const backend = await cpuBackend.create({ threads });
  const start = performance.now();
  await backend.createAttentionStage({
    program: program.attention,
    weights,
    kvPageCount: 16,
    kvPageSize: 16,
    microBatchCount: 1,
    tokensPerMicroBatchMax: 16,
    positionsMax: 256,
  });
  await backend.createExpertStage({ program: program.expert, weights, experts, rowsMax: 32 });
  const elapsed = performance.now() - start;
  backend.close();
  return elapsed;
}

function copy() {
  const start = performance.now();
  const bytes = addon.copyFiles(pool, files);
  return { bytes, elapsed: performance.now() - start };
}

/** Kilobytes of a line of this process's status. */
function status(name) {
  const line = readFileSync('/proc/self/status', 'utf8').match(new RegExp(`${name}:\\s+(\\d+)`));
  return Number(line?.[1] ?? NaN);
}

copy();
const before = status('VmRSS');
writeFileSync('/proc/self/clear_refs', '5'); // forgets the peak so far
const first = await load();
const peakMegabytes = (status('VmHWM') - before) / 1024;
const { bytes } = copy();

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const results = [];
for (let round = 0; round < rounds; round += 1) {
  copy(); // some systems take pages of files back after seconds
  const copied = copy().elapsed;
  const loaded = await load();
  results.push({ copied, loaded, ratio: loaded / copied });
}
const spread = (key) => {
  const values = results.map((result) => result[key]);
  const show = (value) => value.toFixed(key === 'ratio' ? 2 : 0);
  return `${show(median(values))} (${show(Math.min(...values))}–${show(Math.max(...values))})`;
};
console.log(`${(bytes / 1e9).toFixed(2)} GB, ${threads} threads, median (min–max) of ${rounds}`);
console.log(`copy ${spread('copied')} ms, load ${spread('loaded')} ms, ratio ${spread('ratio')}`);
console.log(
  `first load ${first.toFixed(0)} ms; peak ${peakMegabytes.toFixed(0)} MiB above the start, files have ${(bytes / 2 ** 20).toFixed(0)} MiB`,
);
pool.close();
