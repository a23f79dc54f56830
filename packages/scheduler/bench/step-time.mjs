/**
 * What one step of the scheduler costs: planStep and completeMicroBatch with `fcfs`, for 256
 * sequences of uneven lengths that decode; where one ends and another starts in every step; and
 * with 10,000 that wait. Beside it a fixed loop, since clocks drift: of rounds in turns the median
 * and the least (what the core does while no other program is on it), and their ratio to the loop.
 *
 *     npm run build -w packages/scheduler && node packages/scheduler/bench/step-time.mjs [rounds]
 */
import { sequenceId } from '@megascale/core';
import { Batcher, fcfs } from '../dist/index.js';

const rounds = Number(process.argv[2] ?? 15);
const steps = 200;

function batcherOf(running, waiting) {
  const batcher = new Batcher({
    policy: fcfs,
    kvPageCount: 256 * 80,
    kvPageSize: 16,
    microBatchCount: 3,
    tokensPerMicroBatchMax: 16_384,
    prefillChunkTokensMax: 128,
    maxNumSeqs: running,
    maxQueuedRequests: waiting + running,
    positionsMax: 1_000_000,
  });
  const random = lcg(1);
  for (let id = 0; id < running + waiting; id += 1) {
    batcher.add(requestOf(id, 33 + ((random() >>> 6) % 64), random));
  }
  return batcher;
}

function requestOf(id, promptTokens, random) {
  return {
    id: sequenceId(id),
    promptTokens: Array.from({ length: promptTokens }, random),
    maxTokens: 100_000,
    eosTokenIds: [],
    ignoreEos: true,
    arrivedAtMs: id,
    sampling: {},
  };
}

function lcg(seed) {
  let state = seed;
  return () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) % 50_000;
}

const sampled = new Array(16_384).fill(7);

/** As an attention worker does it: tokens come micro-batch by micro-batch. */
function oneStep(batcher) {
  const step = batcher.planStep(0);
  for (const index of step.microBatchIndices) {
    batcher.startMicroBatch(index);
    batcher.completeMicroBatch(sampled);
  }
}

/** Microseconds of a step, the median: what other programs take from some steps does not count. */
function timed({ running, renews }, batcher) {
  const random = lcg(2);
  // Made before, since the scheduler does not make them.
  const newcomers = Array.from({ length: renews ? steps : 0 }, (_, step) =>
    requestOf(running + step, 33, random),
  );
  const times = Array.from({ length: steps }, (_, step) => {
    const start = performance.now();
    if (renews) {
      batcher.cancel(sequenceId(step));
      batcher.add(newcomers[step]);
    }
    oneStep(batcher);
    return (performance.now() - start) * 1000;
  });
  return median(times);
}

/** Microseconds of a million dependent multiplications. */
function calibration() {
  const start = performance.now();
  let state = 1;
  for (let turn = 0; turn < 1_000_000; turn += 1) state = Math.imul(state, 1_664_525) + 1;
  if (state === 0.5) throw new Error('never');
  return (performance.now() - start) * 1000;
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const cases = [
  { name: '256 decode', running: 256, waiting: 0, times: [] },
  { name: '256, one new each step', running: 256, waiting: 0, renews: true, times: [] },
  { name: '256 decode, 10,000 wait', running: 256, waiting: 10_000, times: [] },
];
const loops = [];
for (let round = 0; round < rounds; round += 1) {
  loops.push(calibration());
  for (const each of cases) {
    // Anew each round, so that contexts stay short of their pages.
    const batcher = batcherOf(each.running, each.waiting);
    for (let step = 0; step < 20; step += 1) oneStep(batcher);
    each.times.push(timed(each, batcher));
  }
}
const loop = median(loops);
console.log(`a million multiplications: ${loop.toFixed(0)} µs (median of ${rounds})`);
for (const { name, times } of cases) {
  const [us, least] = [median(times), Math.min(...times)];
  const shown = [us, least].map((value) => value.toFixed(1).padStart(7));
  console.log(
    `${name.padEnd(24)}${shown[0]} µs a step, ${(us / loop).toFixed(3)} of that loop; least ${shown[1]} µs, ${(least / loop).toFixed(3)}`,
  );
}
