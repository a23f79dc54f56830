// What a deployment would do, without the machines: Mixtral-8x22B with attention on four H20 and
// experts on eight L40S, under two loads. Run: node examples/06-simulate.mjs
import {
  builtInCatalogue,
  drawRequests,
  findAccelerator,
  namedModelShape,
  paperLengths,
  simulatedDeployment,
  simulateServing,
} from '@megascale/planner';

const pool = (name, workers) => ({
  accelerator: findAccelerator(builtInCatalogue(), name),
  tensorParallel: 1,
  workers,
});
const { instance, limits } = simulatedDeployment(namedModelShape('mixtral-8x22b'), {
  kind: 'disaggregated',
  attention: pool('H20', 4),
  expert: { ...pool('L40S', 8), expertsPerWorker: 1, replicas: 1 },
  microBatchCount: 3,
});

for (const requestsPerSecond of [1, 8]) {
  const durationS = 10;
  const requests = drawRequests({
    requestsPerSecond,
    durationS,
    arrivals: { type: 'poisson' },
    lengths: paperLengths,
    seed: 1,
  });
  const { report } = simulateServing({ instance, limits, requests, durationS });
  const { tpotMs, outputTokensPerSecond } = report;
  console.log(
    `${requestsPerSecond} requests/s: ${outputTokensPerSecond.toFixed(0)} tokens/s, ` +
      `TPOT p50 ${tpotMs.p50.toFixed(0)} ms, p99 ${tpotMs.p99.toFixed(0)} ms`,
  );
}
