// How long the full search takes: all pairs of 12 × 12 kinds of accelerators, in processor time.
// `node packages/planner/bench/search-time.mjs [--json] [MODEL …]`
import { builtInCatalogue, namedModels, searchPlans } from '@megascale/planner';

const words = process.argv.slice(2);
const json = words.includes('--json');
const wanted = words.filter((word) => word !== '--json');
const kinds = builtInCatalogue().accelerators.slice(0, 12);

/**
 * Processor time on the same core: the same machine's speed: a fixed sum of a hundred million
 * square roots.
 */
function referenceMs() {
  const start = process.cpuUsage();
  let sum = 0;
  for (let i = 0; i < 1e8; i += 1) sum += Math.sqrt(i);
  const { user, system } = process.cpuUsage(start);
  return { ms: (user + system) / 1000, sum };
}

const rows = [];
for (const { name, shape } of namedModels) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const request = {
    shape: shape(),
    attention: kinds,
    expert: kinds,
    traffic: { inputTokens: 571, outputTokens: 159 },
    slo: { tpotMs: 150 },
  };
  const times = Array.from({ length: 3 }, () => {
    const start = process.cpuUsage();
    searchPlans(request);
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1000;
  });
  rows.push({
    model: name,
    pairs: kinds.length ** 2,
    firstMs: times[0],
    bestMs: Math.min(...times),
  });
}
const { ms } = referenceMs();
if (json) console.log(JSON.stringify({ rows, referenceMs: ms }));
else {
  for (const { model, pairs, firstMs, bestMs } of rows) {
    console.log(
      `${model.padEnd(18)} ${pairs} pairs  first ${firstMs.toFixed(0)} ms  best of 3 ${bestMs.toFixed(0)} ms`,
    );
  }
  console.log(`the same core takes ${ms.toFixed(0)} ms for 1e8 square roots`);
}
