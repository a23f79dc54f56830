/**
 * How far the fleet's model of an instance is from the instance simulated step by step with the
 * shipping batcher: one instance, the same rates of requests and distributions of lengths, several
 * loads.
 *
 *     npx turbo run build --filter=@megascale/planner && node packages/planner/bench/fleet-error.mjs [seconds]
 */
import {
  builtInCatalogue,
  drawRequests,
  findAccelerator,
  namedModelShape,
  paperLengths,
  simulatedDeployment,
  simulateFleet,
  simulateServing,
} from '../dist/index.js';

const durationS = Number(process.argv[2] ?? 240);
const warmUpS = durationS / 3;

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
const lengths = paperLengths;

const off = (model, detailed) => `${((model / detailed - 1) * 100).toFixed(1)} %`.padStart(9);
const cell = (value, digits = 1) => value.toFixed(digits).padStart(9);
console.log(
  'requests/s  running  tokens/s    model    off     TPOT ms    model      off   TTFT p50    model      off   detailed took',
);
for (const requestsPerSecond of [1, 4, 8, 12, 16]) {
  const started = process.cpuUsage();
  const { report } = simulateServing({
    instance,
    limits,
    durationS,
    warmUpS,
    drainS: 0,
    requests: drawRequests({
      requestsPerSecond,
      durationS,
      seed: 1,
      lengths,
      arrivals: { type: 'poisson' },
    }),
  });
  const { user } = process.cpuUsage(started);
  // A longer time, for means that do not depend on its draws.
  const model = simulateFleet({
    instance,
    limits,
    instances: 1,
    lengths,
    seed: 1,
    durationS: 20_000,
    load: { requestsPerSecond, amplitude: 0 },
  });
  console.log(
    [
      String(requestsPerSecond).padStart(10),
      cell(report.running.mean),
      ...[cell(report.outputTokensPerSecond, 0), cell(model.outputTokensPerSecond, 0)],
      off(model.outputTokensPerSecond, report.outputTokensPerSecond),
      ...[cell(report.tpotMs.mean, 2), cell(model.tpotMs.mean, 2)],
      off(model.tpotMs.mean, report.tpotMs.mean),
      ...[cell(report.ttftMs.p50), cell(model.ttftMs.p50)],
      off(model.ttftMs.p50, report.ttftMs.p50),
      `${(user / 1e6).toFixed(1).padStart(9)} s`,
    ].join(' '),
  );
}
