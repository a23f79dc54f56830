// An empty project of a user, with the packed packages as its dependencies.
import { spawnSync } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './prepare.mjs';

const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const installArguments = [
  'install',
  '--prefer-offline',
  '--fetch-retries=5',
  '--no-audit',
  '--no-fund',
  '--loglevel=warn',
];

/**
 * Writes the programs of `scripts/package-consumer` and a manifest that names the tarballs. Bun
 * needs them as `overrides` too: it looks for what tarballs depend on in the registry alone.
 */
export function writeProject(folder, tarballs, { bun = false } = {}) {
  cpSync(join(root, 'scripts', 'package-consumer'), folder, { recursive: true });
  const dependencies = Object.fromEntries(
    [...tarballs].map(([name, path]) => [name, `file:${path}`]),
  );
  dependencies['@types/node'] = devDependencies['@types/node'];
  const manifest = { private: true, type: 'module', dependencies };
  if (bun) manifest.overrides = dependencies;
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
  // An engine that a dependency asks for and this Node is not fails the installation.
  writeFileSync(join(folder, '.npmrc'), 'engine-strict=true\n');
}

/** Runs commands and remembers which failed. */
export class Checks {
  failed = [];

  /** Shows the output of a command only if it fails, or says on stderr what is `refused`. */
  check(name, command, args, cwd, { timeoutMs = 300_000, refused } = {}) {
    const { status, error, stdout, stderr } = spawnSync(command, args, {
      cwd,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    });
    if (status === 0 && !refused?.test(stderr)) return true;
    console.error(`── ${name}\n${stdout}${stderr}${error ?? ''}`);
    this.failed.push(name);
    return false;
  }

  /** Installs `project` with npm, run by the given Node; a warning about engines fails it. */
  installed(project, node = process.execPath) {
    const args = [npmProgram(), ...installArguments];
    return this.check('npm install', node, args, project, { refused: /EBADENGINE/ });
  }

  /** Names what failed. */
  end() {
    for (const name of this.failed) console.error(`failed: ${name}`);
    process.exitCode = this.failed.length === 0 ? 0 : 1;
  }
}

/** The script of the npm that runs here, which any Node can run. */
function npmProgram() {
  const given = process.env.npm_execpath;
  if (given?.endsWith('npm-cli.js')) return given;
  const global = spawnSync('npm', ['root', '--global'], { encoding: 'utf8' }).stdout.trim();
  return join(global, 'npm', 'bin', 'npm-cli.js');
}
