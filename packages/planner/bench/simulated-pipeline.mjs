/**
 * The simulator beside the real pipeline: for every point that `megascale bench pipeline` measured
 * between real worker processes, a step and joined steps of the same T_a, T_e, T_c and m,
 * simulated.
 *
 *     npx megascale bench pipeline --json > pipeline.json
 *     npx turbo run build --filter=@megascale/planner && node packages/planner/bench/simulated-pipeline.mjs pipeline.json
 */
import { readFileSync } from 'node:fs';
import { simulateSteps } from '../dist/index.js';

const [file] = process.argv.slice(2);
if (file === undefined) throw new Error('Give the file that bench pipeline --json wrote.');
const { layers, points } = JSON.parse(readFileSync(file, 'utf8'));
const joinedSteps = 12;

const cell = (us) => (us / 1000).toFixed(2).padStart(9);
console.log('T_c / T_f  m     apart  simulated      ×    joined  simulated      ×   (ms)');
const ratios = [];
for (const { transferRatio, microBatches, times, apart, joined } of points) {
  const instance = {
    costs: {
      attentionTimeUs: () => times.attentionTimeUs,
      expertTimeUs: () => times.expertTimeUs,
      transferTimeUs: () => times.transferTimeUs,
      edgeTimeUs: () => 0,
      stepOverheadUs: 0,
    },
    layers,
    expertCount: 1,
    topK: 1,
    dispatchRowBytes: 1,
    answerRowBytes: 1,
    microBatches,
    attentionWorkers: 1,
    expertWorkers: 1,
  };
  const loads = [{ tokens: 4 * microBatches, keysSeen: 1 }];
  const alone = simulateSteps({ instance, loads, steps: 1 }).totalUs;
  // The pipeline fills once, which is left out of what a joined step takes.
  const all = simulateSteps({ instance, loads, steps: joinedSteps }).totalUs;
  const each = (all - alone) / (joinedSteps - 1);
  ratios.push(apart.measuredUs / alone, joined.measuredUs / each);
  console.log(
    [
      transferRatio.toFixed(2).padStart(9),
      String(microBatches).padStart(2),
      ...[cell(apart.measuredUs), cell(alone), (apart.measuredUs / alone).toFixed(3).padStart(8)],
      ...[cell(joined.measuredUs), cell(each), (joined.measuredUs / each).toFixed(3).padStart(8)],
    ].join(' '),
  );
}
const sorted = ratios.toSorted((a, b) => a - b);
console.log(
  `measured over simulated: median ${sorted[sorted.length >> 1].toFixed(3)}, from ${sorted[0].toFixed(3)} to ${sorted.at(-1).toFixed(3)}`,
);
