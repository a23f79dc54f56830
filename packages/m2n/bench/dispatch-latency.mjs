/**
 * Measures what it takes to bring rows from one process to another: from TypeScript over `shm`,
 * beside a native program that does the same work with a flag and nothing else.
 *
 *     node packages/m2n/bench/dispatch-latency.mjs [--kib 2,256] [--rounds 10]
 *       [--against DIST ...] [--json]
 *
 * Two processes, each alone on a core and spinning. The attention side copies a private buffer into
 * its slot (one frame, rows of 2 KiB) and dispatches. The expert side copies the rows out of the
 * slot, copies as many expert outputs into it and replies. The attention side copies them out.
 * Times are of the system's monotonic clock, whose readings are part of what is measured:
 *
 *   end to end         before the first write → after the last read, one way
 *   dispatch latency   after the last write → before the first read, one way
 *   round trip         before the first write → after the last expert output was read
 *
 * The package's own build comes last; builds named by --against (folders like packages/m2n/dist of
 * another checkout) come before it. Rounds are interleaved, and the figures are over the samples of
 * all rounds. Needs two cores, `taskset` and a C++ compiler.
 */
import { execFileSync, fork } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    kib: { type: 'string', default: '2,256' },
    rounds: { type: 'string', default: '10' },
    against: { type: 'string', multiple: true, default: [] },
    json: { type: 'boolean', default: false },
  },
});
const cores = [0, 1];
const packageFile = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const sizes = values.kib.split(',').map((kib) => Number(kib) * 1024);
const rounds = Number(values.rounds);

const exchangesOf = (bytes) => Math.max(40, Math.min(2000, Math.floor((1 << 28) / bytes)));

const floor = buildFloor();
const builds = [...values.against, packageFile('dist')];
const contenders = [
  { name: 'floor', start: native },
  ...builds.map((dist) => ({ name: dist, start: (bytes) => startPair(dist, bytes) })),
];

const rows = [];
for (const bytes of sizes) {
  const taken = [];
  for (const { name, start } of contenders)
    taken.push({ name, samples: [], ...(await start(bytes)) });
  for (let round = -1; round < rounds; round += 1) {
    for (const contender of taken) {
      const samples = await contender.run(exchangesOf(bytes));
      // The first round warms caches and compilers.
      if (round >= 0) contender.samples = contender.samples.concat(samples);
    }
  }
  for (const { name, samples, stop } of taken) {
    await stop();
    rows.push({ bytes, name, ...summary(samples) });
  }
}
if (values.json) console.log(JSON.stringify(rows));
else print(rows);

function buildFloor() {
  const program = packageFile('build/bench/dispatch-latency-floor');
  mkdirSync(packageFile('build/bench'), { recursive: true });
  const flags = ['-std=c++20', '-O3', '-o', program];
  execFileSync(
    process.env.CXX ?? 'c++',
    [...flags, packageFile('bench/dispatch-latency-floor.cc')],
    { stdio: 'inherit' },
  );
  return program;
}

/** Starts its two processes anew for every round. */
function native(bytes) {
  return {
    run: (exchanges) => {
      const output = execFileSync(floor, [bytes, exchanges, ...cores].map(String), {
        encoding: 'utf8',
        maxBuffer: 1 << 28,
      });
      return output.trim().split(/\s/).map(Number);
    },
    stop: () => undefined,
  };
}

/** Two processes of a build, which sleep between rounds. */
async function startPair(dist, bytes) {
  const start = (role) =>
    fork(packageFile('bench/dispatch-latency-end.mjs'), [role, dist, String(bytes)], {
      stdio: 'inherit',
    });
  const [attention, expert] = [start('attention'), start('expert')];
  const addresses = await Promise.all([attention, expert].map((end) => once(end, 'message')));
  const [[attentionAddress], [expertAddress]] = addresses;
  const opened = [attention, expert].map((end) => once(end, 'message'));
  for (const end of [attention, expert]) {
    end.send({ attention: [attentionAddress], expert: [expertAddress] });
  }
  await Promise.all(opened);
  for (const [index, { pid }] of [attention, expert].entries()) {
    execFileSync('taskset', ['-pc', String(cores[index]), String(pid)], { stdio: 'ignore' });
  }
  return {
    async run(exchanges) {
      const answer = once(attention, 'message');
      attention.send(exchanges);
      const [samples] = await answer;
      return samples;
    },
    async stop() {
      const ended = [attention, expert].map((end) => once(end, 'exit'));
      attention.send(0);
      await Promise.all(ended);
    },
  };
}

/** `samples`: [exchanges, 3] end to end, dispatch latency, round trip in µs. */
function summary(samples) {
  const column = (index) => samples.filter((_, at) => at % 3 === index).sort((a, b) => a - b);
  const quantiles = (sorted) => {
    const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
    return { p50: at(0.5), p99: at(0.99), p999: at(0.999) };
  };
  return {
    samples: samples.length / 3,
    endToEndUs: quantiles(column(0)),
    dispatchUs: quantiles(column(1)),
    roundTripUs: quantiles(column(2)),
  };
}

function print(all) {
  const cell = ({ p50, p99, p999 }) =>
    [p50, p99, p999].map((us) => us.toFixed(2).padStart(9)).join('');
  const heading = ['end to end', 'dispatch', 'round trip'].map((name) =>
    `${name} p50, p99, p99.9`.padStart(28),
  );
  console.log(`${'µs'.padEnd(12)}${heading.join('')}`);
  for (const { bytes, name, endToEndUs, dispatchUs, roundTripUs } of all) {
    const figures = [endToEndUs, dispatchUs, roundTripUs].map((us) => ` ${cell(us)}`).join('');
    console.log(`${`${bytes / 1024} KiB`.padEnd(12)}${figures}  ${name}`);
  }
}
