/**
 * How long the simulator takes for a day of a fleet, and how much memory: by default 10,000 GPUs,
 * 1,000 requests a second on average, 24 hours. On one core: the simulator has no threads. Beside
 * it, in the same run, two loops: the same number of requests only drawn (arrival times and
 * lengths), and a fixed number of dependent multiplications, since clocks and neighbours differ.
 * Seconds of the processor count where others use the cores too.
 *
 *     npx turbo run build --filter=@megascale/planner && node packages/planner/bench/fleet-time.mjs [--gpus n] [--requests-per-second r] [--hours h] [--json]
 */
import { parseArgs } from 'node:util';
import {
  builtInCatalogue,
  findAccelerator,
  namedModelShape,
  paperLengths,
  RandomStream,
  simulatedDeployment,
  simulateFleet,
} from '../dist/index.js';

const { values } = parseArgs({
  options: {
    gpus: { type: 'string', default: '10000' },
    'requests-per-second': { type: 'string', default: '1000' },
    hours: { type: 'string', default: '24' },
    json: { type: 'boolean', default: false },
  },
});
const [gpus, rate, hours] = [values.gpus, values['requests-per-second'], values.hours].map(Number);

/** The paper's heterogeneous pair: attention on H20, one expert of every layer on each L40S. */
const pool = (name, workers) => ({
  accelerator: findAccelerator(builtInCatalogue(), name),
  tensorParallel: 1,
  workers,
});
const deployment = {
  kind: 'disaggregated',
  attention: pool('H20', 4),
  expert: { ...pool('L40S', 8), expertsPerWorker: 1, replicas: 1 },
  microBatchCount: 3,
};
const { instance, limits, accelerators } = simulatedDeployment(
  namedModelShape('mixtral-8x22b'),
  deployment,
);

const timed = (work) => {
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  const result = work();
  const { user, system } = process.cpuUsage(cpu);
  const wallS = (performance.now() - start) / 1000;
  return { result, wallS, cpuS: (user + system) / 1e6 };
};

/** Microseconds of a million dependent multiplications. */
const calibration = () =>
  timed(() => {
    let state = 1;
    for (let turn = 0; turn < 100_000_000; turn += 1) state = Math.imul(state, 1_664_525) + 1;
    return state;
  });

const before = calibration();
const day = timed(() =>
  simulateFleet({
    instance,
    limits,
    lengths: paperLengths,
    seed: 1,
    instances: Math.floor(gpus / accelerators),
    load: { requestsPerSecond: rate },
    durationS: hours * 3600,
    faults: { failures: { meanHoursBetween: 24 * 30, recoveryS: 60 } },
  }),
);
const peakMegabytes = process.resourceUsage().maxRSS / 1024;
const { arrived } = day.result.requests;
const drawn = timed(() => {
  const random = new RandomStream(1);
  let sum = 0;
  for (let request = 0; request < arrived; request += 1)
    sum += random.exponential() + random.bits() + random.bits();
  return sum;
});
const after = calibration();

const report = {
  gpus,
  instances: day.result.instances,
  requests: arrived,
  events: day.result.events,
  wallSeconds: day.wallS,
  cpuSeconds: day.cpuS,
  cpuNanosecondsPerEvent: (day.cpuS * 1e9) / day.result.events,
  peakMegabytes,
  drawingSeconds: drawn.cpuS,
  calibrationSeconds: [before.cpuS, after.cpuS],
  tpotMs: day.result.tpotMs,
  ttftMs: day.result.ttftMs,
  outputTokensPerSecond: day.result.outputTokensPerSecond,
  busy: day.result.busy,
  unfinished: day.result.requests.unfinished,
};
if (values.json) console.log(JSON.stringify(report));
else {
  const { ttftMs, tpotMs } = report;
  console.log(
    `${report.instances} instances (${gpus} GPUs), ${arrived} requests in ${hours} h: ${report.wallSeconds.toFixed(1)} s, ${report.cpuSeconds.toFixed(1)} s of the processor, ` +
      `${(report.events / report.wallSeconds / 1e6).toFixed(2)} million events a second, ${peakMegabytes.toFixed(0)} MB at most`,
  );
  console.log(
    `drawing as many requests alone: ${report.drawingSeconds.toFixed(1)} s; 100 million multiplications before and after: ${report.calibrationSeconds.map((s) => s.toFixed(3)).join(', ')} s (of the processor)`,
  );
  console.log(
    `TTFT p50 ${ttftMs.p50.toFixed(1)} ms, p99 ${ttftMs.p99.toFixed(1)} ms; TPOT mean ${tpotMs.mean.toFixed(2)} ms, p99 ${tpotMs.p99.toFixed(2)} ms; ` +
      `${report.outputTokensPerSecond.toFixed(0)} tokens a second; busy ${(report.busy * 100).toFixed(1)} %`,
  );
}
