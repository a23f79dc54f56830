/**
 * Measures what moving experts costs the requests that are served meanwhile. Eight sequences decode
 * on one attention and two expert workers while all experts change their places again and again.
 * The time from token to token, with moves and without, is taken from the same outputs. The bench
 * also prints the longest time that loading kept an expert worker from its rows.
 *
 *     npm run build && node packages/engine/bench/move-pause.mjs [MiB a second] [moves]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeRandomCheckpoint } from '@megascale/core';
import { LLM } from '../dist/index.js';

const bytesPerSecond = Number(process.argv[2] ?? 64) * 2 ** 20;
const moves = Number(process.argv[3] ?? 6);
const experts = 16;
const directory = mkdtempSync(join(tmpdir(), 'megascale-move-pause-'));
await makeRandomCheckpoint(directory, {
  family: 'mixtral',
  hidden: 512,
  layers: 4,
  experts,
  topK: 2,
  expertWidth: 896,
  heads: 8,
  kvHeads: 2,
  vocab: 4096,
  positions: 4096,
  seed: 1,
});
const llm = await LLM.load(directory, { expertWorkers: 2, threads: 1, microBatches: 2 });

/** When each answer's tokens came, and whether experts were being moved then. */
const gaps = { moving: [], still: [] };
let stop = false;

async function decode(index) {
  while (!stop) {
    let last;
    const options = { maxTokens: 1000, ignoreEos: true, temperature: 0 };
    for await (const piece of llm.generate([5 + index, 6, 7], options)) {
      const now = performance.now();
      const isMoving = llm.placement().moving;
      if (last !== undefined && last.isMoving === isMoving) {
        gaps[isMoving ? 'moving' : 'still'].push(now - last.now);
      }
      last = { now, isMoving };
      if (stop || piece.finishReason !== undefined) break;
    }
  }
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const even = llm.placement().placement;
const swapped = even.map((experts) => experts.map((ranks) => ranks.map((rank) => 1 - rank)));
const reports = [];
const decoding = Array.from({ length: 8 }, (_, index) => decode(index));
await sleep(2000);
for (let move = 0; move < moves; move += 1) {
  reports.push(await llm.movePlacement(move % 2 === 0 ? swapped : even, { bytesPerSecond }));
  await sleep(1000);
}
stop = true;
await Promise.all(decoding);
await llm.close();
rmSync(directory, { recursive: true });

const at = (values, part) => values.toSorted((a, b) => a - b)[Math.floor(part * values.length)];
for (const [name, values] of Object.entries(gaps)) {
  const figures = [0.5, 0.99, 0.999].map((part) => at(values, part)?.toFixed(2));
  console.log(
    `${name.padEnd(7)} ${String(values.length).padStart(7)} tokens, from one to the next (ms): ` +
      `median ${figures[0]}, p99 ${figures[1]}, p99.9 ${figures[2]}`,
  );
}
const { bytesMoved } = reports[0];
const pauses = reports.map(({ longestPauseMs }) => longestPauseMs);
const elapsed = reports.map(({ elapsedMs }) => elapsedMs);
console.log(
  `${moves} moves of ${(bytesMoved / 2 ** 20).toFixed(1)} MiB: ` +
    `${(at(elapsed, 0.5) / 1000).toFixed(2)} s each (median), ` +
    `longest pause ${Math.max(...pauses).toFixed(2)} ms`,
);
