// Builds the native addon of the package in the current directory into build/Release/*.node.
// cmake-js passes the headers of node-api-headers to CMake because the package declares
// `binary.napi_versions`; nothing is downloaded.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

const require = createRequire(import.meta.url);
const packageRoot = process.cwd();
const cmakeJs = require.resolve('cmake-js/bin/cmake-js');
const jobs = process.env.MEGASCALE_BUILD_JOBS ?? String(Math.min(availableParallelism(), 8));

removeForeignCache(join(packageRoot, 'build'));
const { status, error } = spawnSync(
  process.execPath,
  [cmakeJs, 'compile', '--generator', 'Unix Makefiles', '--parallel', jobs, '--log-level', 'warn'],
  { cwd: packageRoot, stdio: ['ignore', 'inherit', 'inherit'] },
);
if (error) throw error;
process.exit(status ?? 1);

/** A checkout that was moved or copied carries a CMake cache of another path, which CMake refuses. */
function removeForeignCache(buildRoot) {
  const cachePath = join(buildRoot, 'CMakeCache.txt');
  if (!existsSync(cachePath)) return;
  const home = /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(readFileSync(cachePath, 'utf8'))?.[1];
  if (home !== packageRoot) rmSync(buildRoot, { recursive: true, force: true });
}
