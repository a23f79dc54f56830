// What `npm start` and `npm test` do first, also in a fresh clone: check the tools, install, build.
// Only Node's own modules may be imported here, because nothing may be installed yet.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../', import.meta.url));

const nodeMinimum = [20, 19];
const installStamp = join(root, 'node_modules', '.megascale-install');
const quiet = {
  DO_NOT_TRACK: '1',
  TURBO_TELEMETRY_DISABLED: '1',
  TURBO_NO_UPDATE_NOTIFIER: '1',
  npm_config_audit: 'false',
  npm_config_fund: 'false',
  npm_config_update_notifier: 'false',
};

/** Leaves the packages installed and built, or ends the process with the remedy. */
export async function prepare() {
  checkTools();
  await installPackages();
  await build();
}

/**
 * Runs a command in the root, its output shown unless `onOutput` takes it; resolves to its exit
 * code. Signals reach it too.
 */
export async function run(command, args, { onOutput, ...options } = {}) {
  const child = spawn(command, args, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...quiet },
    detached: true,
    ...options,
  });
  if (onOutput !== undefined) {
    child.stdout.on('data', onOutput);
    child.stderr.on('data', onOutput);
  }
  let interrupted = false;
  const forward = (signal) => {
    interrupted = true;
    // The whole group: a tool may be a launcher of the program that does the work.
    if (child.pid !== undefined) process.kill(-child.pid, signal);
  };
  process.on('SIGINT', forward).on('SIGTERM', forward);
  try {
    const code = await new Promise((resolve, reject) => {
      child.on('error', reject).on('close', resolve);
    });
    if (interrupted) process.exit(130);
    return code ?? 1;
  } finally {
    process.off('SIGINT', forward).off('SIGTERM', forward);
  }
}

/** Runs a program of an installed development dependency. */
export function runTool(name, args, options) {
  return run(join(root, 'node_modules', '.bin', name), args, options);
}

/** Runs a task of every package that needs it; shows the output only of what fails. */
export async function runTasks(task) {
  const output = [];
  const code = await runTool('turbo', ['run', task, '--output-logs=errors-only'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    onOutput: (chunk) => output.push(chunk),
  });
  if (code !== 0) process.stderr.write(Buffer.concat(output));
  return code;
}

function checkTools() {
  const missing = [];
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < nodeMinimum[0] || (major === nodeMinimum[0] && minor < nodeMinimum[1])) {
    missing.push(
      `Node.js ${nodeMinimum.join('.')} or later is needed, this is ${process.version}. ` +
        'Install it: https://nodejs.org/en/download',
    );
  }
  const compilers = process.env.CXX ? [process.env.CXX] : ['c++', 'g++', 'clang++'];
  if (!compilers.some(isRunnable)) {
    missing.push(
      `A C++20 compiler is needed (tried ${compilers.join(', ')}). ${install('compiler')}`,
    );
  }
  if (!isRunnable('cmake')) missing.push(`CMake 3.18 or later is needed. ${install('cmake')}`);
  if (!isRunnable('make')) missing.push(`make is needed. ${install('make')}`);
  if (missing.length === 0) return;
  for (const line of missing) console.error(`megascale: ${line}`);
  process.exit(1);
}

function isRunnable(command) {
  const [program, ...args] = command.split(' ');
  return spawnSync(program, [...args, '--version'], { stdio: 'ignore' }).status === 0;
}

/** The command that installs `tool` with the package manager of this machine. */
function install(tool) {
  const managers = [
    ['brew', 'brew install', { compiler: 'llvm', cmake: 'cmake', make: 'make' }],
    ['apt-get', 'sudo apt-get install -y', { compiler: 'g++', cmake: 'cmake', make: 'make' }],
    ['dnf', 'sudo dnf install -y', { compiler: 'gcc-c++', cmake: 'cmake', make: 'make' }],
    ['pacman', 'sudo pacman -S --needed', { compiler: 'gcc', cmake: 'cmake', make: 'make' }],
    ['apk', 'sudo apk add', { compiler: 'g++', cmake: 'cmake', make: 'make' }],
  ];
  if (process.platform === 'darwin' && tool !== 'cmake')
    return 'Install it: xcode-select --install';
  const found = managers.find(([manager]) => isRunnable(manager));
  if (!found) return `Install ${tool === 'compiler' ? 'GCC 12 or Clang 15' : tool}.`;
  const [, command, names] = found;
  return `Install it: ${command} ${names[tool]}`;
}

async function installPackages() {
  const wanted = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  const installed = existsSync(installStamp) ? readFileSync(installStamp, 'utf8').trim() : '';
  if (installed === wanted) return;

  console.error('megascale: installing packages (npm ci)');
  const npm = process.env.npm_execpath;
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  const code = npm ? await run(process.execPath, [npm, ...args]) : await run('npm', args);
  if (code !== 0) {
    console.error(
      'megascale: npm ci failed; see above. A proxy or offline registry is set with `npm config`.',
    );
    process.exit(code);
  }
  writeFileSync(installStamp, `${wanted}\n`);
}

async function build() {
  console.error('megascale: building what changed (the first time takes a minute or two)');
  const code = await runTasks('build');
  if (code !== 0) process.exit(code);
}
