// Builds and runs the native tests of the package in the current directory, without Node in them.
//
//   node ../../scripts/test-native.mjs plain|address|thread|arm64 … [-- arguments of the test program]
//
// plain    as the addon is compiled
// address  with AddressSanitizer and UndefinedBehaviorSanitizer
// thread   with ThreadSanitizer
// arm64    for 64-bit Arm Linux by a cross compiler, run by qemu's user emulation; the addon is
// built too, not loaded
//
// A variant whose tools are not installed is skipped, with the reason; any failure fails.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { buildEnvironment, removeForeignCache } from './native-cache.mjs';

const packageRoot = process.cwd();
const packageName = packageRoot.slice(packageRoot.lastIndexOf('/') + 1);
const target = `${packageName.replaceAll('-', '_')}_tests`;
const toolchain = new URL('../cmake/arm64-linux.cmake', import.meta.url).pathname;
const jobs = process.env.MEGASCALE_BUILD_JOBS ?? String(Math.min(availableParallelism(), 8));

const variants = {
  plain: { missing: () => undefined, define: [] },
  address: {
    missing: () => missingSanitizer('address,undefined'),
    define: ['-DMEGASCALE_SANITIZE=address,undefined'],
  },
  thread: {
    missing: () => missingSanitizer('thread'),
    define: ['-DMEGASCALE_SANITIZE=thread'],
  },
  arm64: {
    missing: () =>
      missingTool('aarch64-linux-gnu-g++', 'g++-aarch64-linux-gnu') ??
      missingTool('qemu-aarch64-static', 'qemu-user-static'),
    define: [`-DCMAKE_TOOLCHAIN_FILE=${toolchain}`],
    runner: ['qemu-aarch64-static', '-L', '/usr/aarch64-linux-gnu'],
    addon: true,
  },
};

const separator = process.argv.indexOf('--');
const end = separator < 0 ? process.argv.length : separator;
const names = process.argv.slice(2, end);
const testArguments = process.argv.slice(end + 1);
if (names.length === 0 || names.some((name) => !Object.hasOwn(variants, name))) {
  console.error(`Name at least one of: ${Object.keys(variants).join(', ')}.`);
  process.exit(2);
}
for (const name of names) {
  console.error(`${packageName}: native tests, ${name}`);
  const reason = variants[name].missing();
  if (reason !== undefined) {
    console.error(`skipped: ${reason}`);
    continue;
  }
  const { define, addon } = variants[name];
  if (addon) build(`${name}-addon`, [...define, `-DCMAKE_JS_INC=${nodeHeaders()}`]);
  const program = join(build(name, ['-DMEGASCALE_TESTS=ON', ...define]), target);
  const [command, ...rest] = [...(variants[name].runner ?? []), program, ...testArguments];
  execute(command, rest);
}

/** → the folder of what was built. */
function build(name, define) {
  const folder = join(packageRoot, 'build', 'tests', name);
  removeForeignCache(folder, packageRoot);
  execute('cmake', [
    ...['-S', packageRoot, '-B', folder, '-G', 'Unix Makefiles', '--log-level=WARNING'],
    ...['-DCMAKE_BUILD_TYPE=Release', ...define],
  ]);
  execute('cmake', ['--build', folder, '--parallel', jobs], { quiet: true });
  return folder;
}

/** What cmake-js passes: Node-API is the same for every processor. */
function nodeHeaders() {
  const require = createRequire(import.meta.url);
  const folder = (name) => dirname(require.resolve(`${name}/package.json`));
  return `${join(folder('node-api-headers'), 'include')};${folder('node-addon-api')}`;
}

/** Ends this process where the command fails. `quiet`: its output is shown only then. */
function execute(command, commandArguments, { quiet = false } = {}) {
  const { status, stdout, error } = spawnSync(command, commandArguments, {
    cwd: packageRoot,
    env: buildEnvironment(),
    stdio: ['ignore', quiet ? 'pipe' : 'inherit', 'inherit'],
    maxBuffer: 1 << 28,
  });
  if (error) throw error;
  if (status === 0) return;
  if (quiet) process.stderr.write(stdout);
  process.exit(status ?? 1);
}

function missingTool(command, debianPackage) {
  const { error } = spawnSync(command, ['--version'], { stdio: 'ignore' });
  return (
    error && `${command} is not installed (Debian and Ubuntu: apt-get install ${debianPackage})`
  );
}

/**
 * A compiler may know the flag and lack the library, and a kernel may refuse the address layout: so
 * run one.
 */
function missingSanitizer(sanitizers) {
  const folder = mkdtempSync(join(tmpdir(), 'megascale-sanitizer-'));
  try {
    const [source, program] = [join(folder, 'empty.cc'), join(folder, 'empty')];
    writeFileSync(source, 'int main() { return 0; }\n');
    const [compiler, ...flags] = (process.env.CXX ?? 'c++').split(' ');
    const compile = [...flags, `-fsanitize=${sanitizers}`, source, '-o', program];
    for (const [command, rest] of [
      [compiler, compile],
      [program, []],
    ]) {
      const { status, error, stderr } = spawnSync(command, rest, { encoding: 'utf8' });
      if (error || status !== 0) {
        const why = error?.message ?? stderr.trim().split('\n')[0];
        return `this system cannot run programs with -fsanitize=${sanitizers}: ${why}`;
      }
    }
    return undefined;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
