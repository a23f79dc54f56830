// `npm test`: everything, from a fresh clone. All checks run, then the unit tests; one failure fails all.
// Arguments go to vitest: `npm test -- packages/core`.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { prepare, root, run, runTasks, runTool } from './prepare.mjs';

await prepare();

const reportFolder = mkdtempSync(join(tmpdir(), 'megascale-test-'));
const reportPath = join(reportFolder, 'vitest.json');
const checks = [
  ['types', () => runTasks('typecheck')],
  ['lint', () => runTool('eslint', ['.', '--max-warnings=0'])],
  ['format', () => runTool('prettier', ['--check', '.', '--log-level=warn'])],
  ['native format', () => run(process.execPath, ['scripts/format-native.mjs'])],
  ['native symbols', () => run(process.execPath, ['scripts/check-native-symbols.mjs'])],
  ['native tests', runNativeTests],
  ['reference pages', () => runTool('typedoc', ['--emit', 'none', '--logLevel', 'Warn'])],
  ['packages', () => run(process.execPath, ['scripts/check-packages.mjs'])],
  ['tests', runUnitTests],
];

const failed = [];
try {
  for (const [name, check] of checks) {
    console.error(`\nmegascale: ${name}`);
    if ((await check()) !== 0) failed.push(name);
  }
  if (failed.length > 0) console.error(`megascale: failed: ${failed.join(', ')}`);
  if (existsSync(reportPath)) {
    const report = JSON.parse(readFileSync(reportPath, 'utf8'));
    for (const line of skippedSuites(report)) console.error(`megascale: skipped ${line}`);
    console.log(closingLine(report));
  }
} finally {
  rmSync(reportFolder, { recursive: true, force: true });
}
process.exitCode = failed.length > 0 ? 1 : 0;

function runUnitTests() {
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${reportPath}`];
  return runTool('vitest', ['run', ...reporters, ...process.argv.slice(2)]);
}

/** With sanitizers; half of the generated cases, so that two cores need less than three minutes. */
async function runNativeTests() {
  const script = join(root, 'scripts/test-native.mjs');
  for (const name of ['kernels-cpu', 'm2n']) {
    const variants = ['address', 'thread', '--', '--cases', '50'];
    const cwd = join(root, 'packages', name);
    const code = await run(process.execPath, [script, ...variants], { cwd });
    if (code !== 0) return code;
  }
  return 0;
}

/** `73 of backend contract: cpu amx (packages/kernels-cpu/test/…)`; the reasons stand beside the tests above. */
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

/** `tests: 12 passed, 0 failed, 3 skipped`, for people and programs that read only the end. */
function closingLine(report) {
  const skipped = report.numPendingTests + report.numTodoTests;
  return `tests: ${report.numPassedTests} passed, ${report.numFailedTests} failed, ${skipped} skipped`;
}
