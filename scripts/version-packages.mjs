// Makes the next version out of the pending changesets: one version for all packages, and one part
// of CHANGELOG.md, which a person then orders by what users can do.
//
//   npm run version-packages
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { root } from './prepare.mjs';

const changeset = join(root, 'node_modules', '.bin', 'changeset');
const statusFile = join(root, '.changeset', 'status.json');
const run = (command, args) => execFileSync(command, args, { cwd: root, stdio: 'inherit' });

run(changeset, ['status', '--output', relative(root, statusFile)]);
const status = JSON.parse(readFileSync(statusFile, 'utf8'));
run('rm', [statusFile]);
if (status.changesets.length === 0) {
  console.error('No changesets are pending; `npm run changeset` writes one.');
  process.exit(1);
}
const [{ newVersion }] = status.releases;
const lines = status.changesets.map(({ summary }) => `- ${summary.trim().replace(/\n+/g, '\n  ')}`);

const changelog = join(root, 'CHANGELOG.md');
const text = readFileSync(changelog, 'utf8');
const newest = text.indexOf('\n## ') + 1;
const part = `## ${newVersion}\n\n${lines.join('\n')}\n\n`;
writeFileSync(changelog, text.slice(0, newest) + part + text.slice(newest));

run(changeset, ['version']);
setAddonVersions();
run('npm', ['install', '--package-lock-only', '--no-audit', '--no-fund']);
run('npx', ['prettier', '--write', '--log-level=warn', 'CHANGELOG.md']);
console.log(`${newVersion}: now order its part of CHANGELOG.md by what users can do.`);

/** An addon says which version it was built as. */
function setAddonVersions() {
  for (const name of readdirSync(join(root, 'packages'))) {
    const path = join(root, 'packages', name, 'CMakeLists.txt');
    if (!existsSync(path)) continue;
    const cmake = readFileSync(path, 'utf8');
    writeFileSync(path, cmake.replace(/(project\(\w+ VERSION )[\d.]+/, `$1${newVersion}`));
  }
}
