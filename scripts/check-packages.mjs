// Packs every package as it is published, checks the tarballs (publint, are-the-types-wrong), installs them
// in an empty project and runs an ESM, a CommonJS and a TypeScript program against them.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packRelease } from './pack-release.mjs';
import { root } from './prepare.mjs';

const workFolder = mkdtempSync(join(tmpdir(), 'megascale-packages-'));
const project = join(workFolder, 'project');
const failed = [];
const rootManifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
try {
  const tarballs = packRelease(join(workFolder, 'tarballs'));
  for (const [name, tarball] of tarballs) checkTarball(name, tarball);
  if (failed.length === 0) checkInstalled(tarballs);
} finally {
  rmSync(workFolder, { recursive: true, force: true });
}
for (const name of failed) console.error(`failed: ${name}`);
process.exitCode = failed.length === 0 ? 0 : 1;

function checkTarball(name, tarball) {
  if (name.endsWith(`-${process.platform}-${process.arch}`)) return;
  check(`publint ${name}`, tool('publint'), ['--strict', tarball], root);
  const options = [
    '--profile',
    'node16',
    '--no-definitely-typed',
    '--no-emoji',
    '--format',
    'ascii',
  ];
  check(`attw ${name}`, tool('attw'), [tarball, ...options], root);
}

function checkInstalled(tarballs) {
  cpSync(join(root, 'scripts', 'package-consumer'), project, { recursive: true });
  const dependencies = Object.fromEntries(
    [...tarballs].map(([name, path]) => [name, `file:${path}`]),
  );
  dependencies['@types/node'] = rootManifest.devDependencies['@types/node'];
  writeFileSync(
    join(project, 'package.json'),
    JSON.stringify({ private: true, type: 'module', dependencies }),
  );
  const install = [
    'install',
    '--prefer-offline',
    '--fetch-retries=5',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
  ];
  if (!check('install', 'npm', install, project)) return;

  check('ESM program', process.execPath, ['program.mjs'], project);
  check('CommonJS program', process.execPath, ['program.cjs'], project);
  check('TypeScript program', tool('tsc'), ['--project', project], project);
  check(
    'megascale command',
    join(project, 'node_modules', '.bin', 'megascale'),
    ['--version'],
    project,
  );
}

/** Shows the output of a command only if it fails. */
function check(name, command, args, cwd) {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (status === 0) return true;
  console.error(`── ${name}\n${stdout}${stderr}${error ?? ''}`);
  failed.push(name);
  return false;
}

function tool(name) {
  return join(root, 'node_modules', '.bin', name);
}
