// The shape of the house: no import circles, no exports that nothing imports, and folders that a
// reader takes in at a glance. Part of `npm run lint`.
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { root, runTool } from './prepare.mjs';

/** Files of one folder; in C++, a header and its source are one. */
const filesMax = 15;
const isSource = /^packages\/[^/]+\/(src|native)\/.*\.(ts|cc|hpp)$/;

const failed = [];
const sources = readdirSync(join(root, 'packages')).map((name) => `packages/${name}/src`);
if ((await runTool('depcruise', ['--output-type', 'err', ...sources])) !== 0) {
  failed.push('import circles');
}
if ((await runTool('knip', ['--no-progress', '--no-config-hints'])) !== 0) {
  failed.push('unused files or exports');
}
for (const [folder, names] of foldersOf(
  execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' }),
)) {
  if (names.size <= filesMax) continue;
  console.error(`${folder} has ${names.size} files; a folder has at most ${filesMax}. Divide it.`);
  failed.push('full folders');
}
if (failed.length > 0) console.error(`check-structure: ${[...new Set(failed)].join(', ')}`);
process.exitCode = failed.length > 0 ? 1 : 0;

/** → the names without extension of the sources in each folder. */
function foldersOf(list) {
  const folders = new Map();
  for (const path of list.split('\n').filter((line) => isSource.test(line))) {
    const folder = dirname(path);
    if (!folders.has(folder)) folders.set(folder, new Set());
    folders.get(folder).add(path.slice(0, -extname(path).length));
  }
  return folders;
}
