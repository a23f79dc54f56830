import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** A checkout that was moved or copied carries a CMake cache of another path, which CMake refuses. */
export function removeForeignCache(buildRoot, packageRoot) {
  const cachePath = join(buildRoot, 'CMakeCache.txt');
  if (!existsSync(cachePath)) return;
  const home = /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(readFileSync(cachePath, 'utf8'))?.[1];
  if (home !== packageRoot) rmSync(buildRoot, { recursive: true, force: true });
}
