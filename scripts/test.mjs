// The tests of the repository, from a fresh clone: installs, builds, checks and tests.
//
//   npm test              what every change should pass: checks, unit tests, process tests
//   npm run test:long     the rest: sanitizers, published packages, reference pages, long tests
//   npm run test:all      both
//
// Checks run beside tests, in two lanes. One failure fails all, after everything has run. Further
// arguments go to vitest: `npm test -- packages/core`. MEGASCALE_TEST_REPORTS names a folder that
// keeps the reports of vitest, one of each tier.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { prepare } from './prepare.mjs';
import { checksOf } from './test-checks.mjs';
import { runTier, summarize } from './test-tiers.mjs';

const parts = { '--long': ['long'], '--all': ['quick', 'long'] };
const [first = '', ...others] = process.argv.slice(2);
const chosen = parts[first] ?? ['quick'];
const vitestArguments = first in parts ? others : process.argv.slice(2);
const tiers = { quick: ['unit', 'process'], long: ['long'] };

await prepare();

const beganMs = Date.now();
const keptFolder = process.env.MEGASCALE_TEST_REPORTS;
const reportFolder = keptFolder ?? mkdtempSync(join(tmpdir(), 'megascale-test-'));
mkdirSync(reportFolder, { recursive: true });
const failed = [];
try {
  const ownTiers = chosen.flatMap((part) => tiers[part]);
  const tests = ownTiers.map((tier) => [
    `${tier} tests`,
    () => runTier(tier, reportFolder, vitestArguments),
  ]);
  await Promise.all([runLane(chosen.flatMap((part) => checksOf(part))), runLane(tests)]);
  const { skipped, counts } = summarize(ownTiers, reportFolder);
  for (const line of skipped) console.error(`megascale: skipped ${line}`);
  if (failed.length > 0) console.error(`megascale: failed: ${failed.join(', ')}`);
  console.log(
    `megascale: ${failed.length > 0 ? 'failed' : 'passed'} in ${secondsSince(beganMs)} s`,
  );
  if (!chosen.includes('long')) {
    console.log('megascale: the rest: npm run test:long; everything: npm run test:all');
  }
  console.log(counts);
} finally {
  if (keptFolder === undefined) rmSync(reportFolder, { recursive: true, force: true });
}
process.exitCode = failed.length > 0 ? 1 : 0;

/** Runs `[name, () => exit code]` one after the other; failures do not end the lane. */
async function runLane(steps) {
  for (const [name, step] of steps) {
    const stepBeganMs = Date.now();
    const code = await step();
    if (code !== 0) failed.push(name);
    console.error(
      `megascale: ${name} ${code === 0 ? 'passed' : 'FAILED'} in ${secondsSince(stepBeganMs)} s`,
    );
  }
}

function secondsSince(startMs) {
  return ((Date.now() - startMs) / 1000).toFixed(0);
}
