// The vitest suites by tier: `packages/*/test/unit`, `process` and `long`.
import { existsSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { root, runTool } from './prepare.mjs';

/** Runs the suites of one tier and leaves their report in `reportFolder`. → exit code */
export function runTier(tier, reportFolder, vitestArguments) {
  const report = join(reportFolder, `${tier}.json`);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  // A path given may hold no test of this tier.
  const filtered = vitestArguments.length > 0 ? ['--passWithNoTests'] : [];
  return runTool('vitest', [
    ...['run', '--project', tier, ...reporters, ...filtered, ...vitestArguments],
  ]);
}

/** What the reports of the tiers say together; the reasons of skips stand beside the tests. */
export function summarize(tiers, reportFolder) {
  const reports = tiers
    .map((tier) => join(reportFolder, `${tier}.json`))
    .filter((path) => existsSync(path))
    .map((path) => JSON.parse(readFileSync(path, 'utf8')));
  const sum = (count) => reports.reduce((total, report) => total + count(report), 0);
  const passed = sum((report) => report.numPassedTests);
  const failed = sum((report) => report.numFailedTests);
  const skipped = sum((report) => report.numPendingTests + report.numTodoTests);
  return {
    skipped: reports.flatMap(skippedSuites),
    counts: `tests: ${passed} passed, ${failed} failed, ${skipped} skipped`,
  };
}

/** `73 of backend contract: cpu amx (packages/kernels-cpu/test/…)` */
function skippedSuites(report) {
  const counts = new Map();
  for (const { name, assertionResults } of report.testResults) {
    for (const { status, ancestorTitles, title } of assertionResults) {
      if (status === 'passed' || status === 'failed') continue;
      const suite = `${ancestorTitles[0] ?? title} (${relative(root, name)})`;
      counts.set(suite, (counts.get(suite) ?? 0) + 1);
    }
  }
  return [...counts].map(([suite, count]) => `${count} of ${suite}`);
}
