// Installs the packed packages in an empty project and runs them there under every runtime that
// users may have: the oldest Node.js that the manifests allow, the newer lines, and Bun. Programs
// in ESM and CommonJS, the command line, a server that is asked and ended. The runtimes come from
// npm.
//
//   node scripts/check-runtimes.mjs [--packed FOLDER] [node-20 node-22 node-24 node-26 bun]
//
// FOLDER holds the tarballs of a release; without it the packages are packed as they are built
// here.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Checks, writeProject } from './consumer-project.mjs';
import { packRelease, readTarballs } from './pack-release.mjs';
import { root } from './prepare.mjs';

const bunPlatform = `${process.platform}-${process.arch === 'arm64' ? 'aarch64' : process.arch}`;
const nodePackage = `node-${process.platform}-${process.arch}`;
const runtimes = {
  'node-20': `npm:${nodePackage}@20.19.0`,
  'node-22': `npm:${nodePackage}@22`,
  'node-24': `npm:${nodePackage}@24`,
  'node-26': `npm:${nodePackage}@26`,
  bun: `npm:@oven/bun-${bunPlatform}@1`,
};
const model = join(root, 'models', 'dictionary');
const readyMs = 60_000;
const { values, positionals: chosen } = parseArgs({
  options: { packed: { type: 'string' } },
  allowPositionals: true,
});
const unknown = chosen.filter((name) => !(name in runtimes));
if (unknown.length > 0) {
  console.error(`unknown: ${unknown.join(', ')}; known: ${Object.keys(runtimes).join(', ')}`);
  process.exit(2);
}

const workFolder = mkdtempSync(join(tmpdir(), 'megascale-runtimes-'));
const checks = new Checks();
try {
  const programs = installRuntimes();
  if (programs !== undefined) {
    const tarballs = values.packed
      ? tarballsOfThisPlatform(values.packed)
      : packRelease(join(workFolder, 'tarballs'));
    const names = chosen.length > 0 ? chosen : Object.keys(runtimes);
    for (const name of names) await checkRuntime(name, programs, tarballs);
  }
} finally {
  rmSync(workFolder, { recursive: true, force: true });
}
checks.end();

function tarballsOfThisPlatform(folder) {
  const fits = ({ os, cpu }) =>
    (os ?? [process.platform]).includes(process.platform) &&
    (cpu ?? [process.arch]).includes(process.arch);
  const packed = [...readTarballs(folder).values()].filter(fits);
  return new Map(packed.map(({ name, path }) => [name, path]));
}

/** → the path of each runtime's program, undefined where npm does not bring them */
function installRuntimes() {
  const folder = join(workFolder, 'runtimes');
  mkdirSync(folder);
  const manifest = { private: true, dependencies: runtimes };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
  writeFileSync(join(folder, '.npmrc'), 'ignore-scripts=true\n');
  if (!checks.installed(folder)) return undefined;
  return Object.fromEntries(
    Object.keys(runtimes).map((name) => [
      name,
      join(folder, 'node_modules', name, 'bin', name === 'bun' ? 'bun' : 'node'),
    ]),
  );
}

async function checkRuntime(name, programs, tarballs) {
  const beganMs = Date.now();
  const failedBefore = checks.failed.length;
  const program = programs[name];
  const project = join(workFolder, `project-${name}`);
  mkdirSync(project);
  writeProject(project, tarballs, { bun: name === 'bun' });
  const installed =
    name === 'bun'
      ? checks.check('bun install', program, ['install', '--no-progress'], project)
      : checks.installed(project, program);
  if (!installed) return;

  const cli = join(project, 'node_modules', 'megascale', 'bin', 'megascale.js');
  const say = ['generate', model, '--prompt', 'lighthouse (noun):', '--max-tokens', '8'];
  const runs = {
    'ESM program': ['program.mjs'],
    'CommonJS program': ['program.cjs'],
    'megascale doctor': [cli, 'doctor', '--json'],
    'megascale generate': [cli, ...say, '--expert-workers', '2'],
    'megascale generate over tcp': [cli, ...say, '--transport', 'tcp'],
    // Bun runs TypeScript as it is; Node.js reads the types only, see check-packages.
    ...(name === 'bun' ? { 'TypeScript program': ['program.ts'] } : {}),
  };
  for (const [run, args] of Object.entries(runs))
    checks.check(`${name}: ${run}`, program, args, project, { timeoutMs: 120_000 });
  await checkServer(name, program, [cli, 'serve', model, '--port', '0', '--json'], project);
  const result = checks.failed.length === failedBefore ? 'passed' : 'FAILED';
  console.error(`${name}: ${result} in ${((Date.now() - beganMs) / 1000).toFixed(0)} s`);
}

/** A server starts, answers one request and ends by SIGTERM with exit code 0. */
async function checkServer(name, program, args, cwd) {
  const child = spawn(program, args, { cwd, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.on('exit', resolve));
  const limit = setTimeout(() => child.kill('SIGKILL'), readyMs);
  try {
    const { url } = JSON.parse(await firstLine(child.stdout));
    const response = await fetch(`${url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'lighthouse (noun):', max_tokens: 8 }),
    });
    const answer = await response.json();
    if (answer.usage?.completion_tokens !== 8) throw new Error(JSON.stringify(answer));
    child.kill('SIGTERM');
    const code = await ended;
    if (code !== 0) throw new Error(`the server ended with ${code}`);
  } catch (error) {
    console.error(`── ${name}: megascale serve\n${error}`);
    checks.failed.push(`${name}: megascale serve`);
    child.kill('SIGKILL');
  } finally {
    clearTimeout(limit);
  }
}

async function firstLine(stream) {
  let text = '';
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    text += chunk;
    if (text.includes('\n')) return text.slice(0, text.indexOf('\n'));
  }
  throw new Error('it ended before it was ready');
}
