// Packs every package as it is published, checks the tarballs (publint, are-the-types-wrong),
// installs them in an empty project, checks what lies there and runs an ESM, a CommonJS and a
// TypeScript program.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Checks, writeProject } from './consumer-project.mjs';
import { isRelative, mapLinks } from './markdown-links.mjs';
import { packRelease } from './pack-release.mjs';
import { root } from './prepare.mjs';

const workFolder = mkdtempSync(join(tmpdir(), 'megascale-packages-'));
const project = join(workFolder, 'project');
const checks = new Checks();
try {
  const tarballs = packRelease(join(workFolder, 'tarballs'));
  for (const [name, tarball] of tarballs) checkTarball(name, tarball);
  if (checks.failed.length === 0) checkInstalled(tarballs);
} finally {
  rmSync(workFolder, { recursive: true, force: true });
}
checks.end();

function checkTarball(name, tarball) {
  if (isPlatformPackage(name)) return;
  checks.check(`publint ${name}`, tool('publint'), ['--strict', tarball], root);
  const options = [
    '--profile',
    'node16',
    '--no-definitely-typed',
    '--no-emoji',
    '--format',
    'ascii',
  ];
  checks.check(`attw ${name}`, tool('attw'), [tarball, ...options], root);
}

function checkInstalled(tarballs) {
  mkdirSync(project);
  writeProject(project, tarballs);
  if (!checks.installed(project)) return;

  for (const name of tarballs.keys()) {
    if (isPlatformPackage(name)) continue;
    const problems = shippedProblems(join(project, 'node_modules', name));
    for (const problem of problems) checks.failed.push(`${name}: ${problem}`);
  }
  checks.check('ESM program', process.execPath, ['program.mjs'], project);
  checks.check('CommonJS program', process.execPath, ['program.cjs'], project);
  checks.check('TypeScript program', tool('tsc'), ['--project', project], project);
  const command = join(project, 'node_modules', '.bin', 'megascale');
  checks.check('megascale command', command, ['--version'], project);
}

/** What a reader of an installed package would miss or stumble over. */
function shippedProblems(folder) {
  const problems = ['README.md', 'CHANGELOG.md', 'LICENSE']
    .filter((name) => !existsSync(join(folder, name)))
    .map((name) => `${name} is missing`);
  for (const path of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (path.endsWith('.map')) problems.push(`${path} maps to sources that are not shipped`);
    if (!/\.c?js$/.test(path)) continue;
    if (/^\/\/# sourceMappingURL=/m.test(readFileSync(join(folder, path), 'utf8')))
      problems.push(`${path} names a source map`);
  }
  mapLinks(readFileSync(join(folder, 'README.md'), 'utf8'), (link) => {
    if (isRelative(link)) problems.push(`README.md: ${link} leads nowhere on npm`);
    return link;
  });
  return problems;
}

function isPlatformPackage(name) {
  return name.endsWith(`-${process.platform}-${process.arch}`);
}

function tool(name) {
  return join(root, 'node_modules', '.bin', name);
}
