import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * A checkout that was moved or copied carries a CMake cache of another path, which CMake refuses.
 */
export function removeForeignCache(buildRoot, packageRoot) {
  const cachePath = join(buildRoot, 'CMakeCache.txt');
  if (!existsSync(cachePath)) return;
  const home = /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(readFileSync(cachePath, 'utf8'))?.[1];
  if (home !== packageRoot) rmSync(buildRoot, { recursive: true, force: true });
}

/**
 * The environment of CMake: compilers run through ccache where it is installed, unless the caller
 * chose.
 */
export function buildEnvironment() {
  const root = fileURLToPath(new URL('../', import.meta.url));
  const { CMAKE_CXX_COMPILER_LAUNCHER: chosen } = process.env;
  const isThere = spawnSync('ccache', ['--version'], { stdio: 'ignore' }).status === 0;
  if (chosen !== undefined || !isThere) return process.env;
  // Checkouts in other folders share what one has compiled.
  const shared = { CCACHE_BASEDIR: root, CCACHE_NOHASHDIR: '1', ...process.env };
  return { ...shared, CMAKE_CXX_COMPILER_LAUNCHER: 'ccache' };
}
