// Copies the native addons that were built here to where `pack-release.mjs` looks for them:
//
//   node scripts/collect-addons.mjs PREBUILT PLATFORM [GLIBC]
//
// PLATFORM, linux-x64 say, must be this machine's. With GLIBC, 2.28 say, an addon that needs a
// newer one is refused: it would not load on the systems that the packages promise to run on.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { root } from './prepare.mjs';

const [prebuilt, platform, newestGlibc] = process.argv.slice(2);
const here = `${process.platform}-${process.arch}`;
if (platform === undefined)
  fail('usage: node scripts/collect-addons.mjs PREBUILT PLATFORM [GLIBC]');
if (platform !== here) fail(`This machine builds for ${here}, not for ${platform}.`);

for (const name of readdirSync(join(root, 'packages'))) {
  const built = join(root, 'packages', name, 'build', 'Release');
  if (!existsSync(built)) continue;
  const file = `${name.replaceAll('-', '_')}.node`;
  if (newestGlibc !== undefined) checkGlibc(join(built, file));
  const folder = join(resolve(prebuilt), name, platform);
  mkdirSync(folder, { recursive: true });
  cpSync(join(built, file), join(folder, file));
  console.log(join(folder, file));
}

function checkGlibc(path) {
  const { status, stdout, error } = spawnSync('objdump', ['-T', path], { encoding: 'utf8' });
  if (status !== 0) fail(`objdump cannot read ${path}. ${error ?? ''}`);
  const needed = [...stdout.matchAll(/GLIBC_(\d+(?:\.\d+)+)\)? +(\S+)/g)];
  const newer = needed.filter(([, version]) => compare(version, newestGlibc) > 0);
  if (newer.length === 0) return;
  const names = newer.map(([, version, symbol]) => `${symbol} (${version})`);
  fail(`${path} needs a glibc newer than ${newestGlibc}: ${names.join(', ')}`);
}

function compare(one, other) {
  return one.localeCompare(other, 'en', { numeric: true });
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
