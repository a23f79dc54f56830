// `npm test`: everything, from a fresh clone. All checks run, then the unit tests; one failure fails all.
// Arguments go to vitest: `npm test -- packages/core`.
import { prepare, run, runTool } from './prepare.mjs';

await prepare();

const checks = [
  ['types', () => runTool('turbo', ['run', 'typecheck', '--output-logs=errors-only'])],
  ['lint', () => runTool('eslint', ['.', '--max-warnings=0'])],
  ['format', () => runTool('prettier', ['--check', '.', '--log-level=warn'])],
  ['native format', () => run(process.execPath, ['scripts/format-native.mjs'])],
  ['packages', () => run(process.execPath, ['scripts/check-packages.mjs'])],
  ['tests', () => runTool('vitest', ['run', ...process.argv.slice(2)])],
];

const failed = [];
for (const [name, check] of checks) {
  console.error(`\nmegascale: ${name}`);
  if ((await check()) !== 0) failed.push(name);
}
if (failed.length > 0) {
  console.error(`\nmegascale: failed: ${failed.join(', ')}`);
  process.exit(1);
}
