// Builds the native addon of the package in the current directory into build/Release/*.node.
// cmake-js passes the headers of node-api-headers to CMake because the package declares
// `binary.napi_versions`; nothing is downloaded.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { buildEnvironment, removeForeignCache } from './native-cache.mjs';

const require = createRequire(import.meta.url);
const packageRoot = process.cwd();
const cmakeJs = require.resolve('cmake-js/bin/cmake-js');
const jobs = process.env.MEGASCALE_BUILD_JOBS ?? String(Math.min(availableParallelism(), 8));

removeForeignCache(join(packageRoot, 'build'), packageRoot);
const { status, error } = spawnSync(
  process.execPath,
  [cmakeJs, 'compile', '--generator', 'Unix Makefiles', '--parallel', jobs, '--log-level', 'warn'],
  { cwd: packageRoot, env: buildEnvironment(), stdio: ['ignore', 'inherit', 'inherit'] },
);
if (error) throw error;
process.exit(status ?? 1);
