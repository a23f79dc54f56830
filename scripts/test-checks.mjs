// The checks that are no vitest suites: of the sources, of the native code, of what is published.
import { join } from 'node:path';
import { root, run } from './prepare.mjs';

/** Compiling gives way to the suites beside it, which mostly wait and have limits on waiting. */
const patience = process.platform === 'win32' ? [] : ['nice', '-n', '10'];
/** Half of the generated cases, which the compiler's own sanitizers slow down most. */
const sanitizers = [
  join(root, 'scripts/test-native.mjs'),
  ...['address', 'thread', '--', '--cases', '50'],
];

const checks = {
  quick: [
    { name: 'types', command: [tool('tsc'), '--noEmit', '--project', 'tsconfig.json'] },
    { name: 'lint', command: [tool('eslint'), '.', '--max-warnings=0'] },
    { name: 'format', command: [tool('prettier'), '--check', '.', '--log-level=warn'] },
    { name: 'native format', command: [process.execPath, 'scripts/format-native.mjs'] },
    { name: 'native symbols', command: [process.execPath, 'scripts/check-native-symbols.mjs'] },
    { name: 'structure', command: [process.execPath, 'scripts/check-structure.mjs'] },
    { name: 'links', command: [process.execPath, 'scripts/check-links.mjs'] },
  ],
  long: [
    ...['kernels-cpu', 'm2n'].map((name) => ({
      name: `native tests of ${name}`,
      command: [...patience, process.execPath, ...sanitizers],
      cwd: join(root, 'packages', name),
    })),
    { name: 'reference pages', command: [tool('typedoc'), '--emit', 'none', '--logLevel', 'Warn'] },
    { name: 'packages', command: [process.execPath, 'scripts/check-packages.mjs'] },
    { name: 'runtimes', command: [process.execPath, 'scripts/check-runtimes.mjs'] },
  ],
};

/** → `[name, () => exit code]` of the checks of one part, 'quick' or 'long'. */
export function checksOf(part) {
  return checks[part].map(({ name, command, cwd = root }) => [
    name,
    () => runQuietly(command, cwd),
  ]);
}

/** Shows the output only of what fails, so that lines of suites beside it stay readable. */
async function runQuietly([command, ...args], cwd) {
  const output = [];
  const code = await run(command, args, {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    onOutput: (chunk) => output.push(chunk),
  });
  if (code !== 0) process.stderr.write(Buffer.concat(output));
  return code;
}

function tool(name) {
  return join(root, 'node_modules', '.bin', name);
}
