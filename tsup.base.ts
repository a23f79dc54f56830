import { readdirSync } from 'node:fs';
import { basename } from 'node:path';
import type { Options } from 'tsup';

/**
 * The build of every package: ESM and CommonJS, each with its own types. Process and thread start
 * files are named `<name>-main.ts`, in any folder; each becomes an entry, `dist/<name>-main.js`.
 *
 * It writes no source maps: the packages do not ship the sources that maps would point at, and the
 * built code is not minified, so the lines of a stack trace can be read as they are.
 */
export const packageBuild: Options = {
  entry: { index: 'src/index.ts', ...startFiles() },
  format: ['esm', 'cjs'],
  target: 'node20',
  tsconfig: 'tsconfig.build.json',
  dts: { entry: { index: 'src/index.ts' } },
  shims: true,
  clean: true,
  silent: true,
};

/** `{ 'worker-process-main': 'src/worker/worker-process-main.ts' }` of the package in the current folder. */
function startFiles(): Record<string, string> {
  const paths = readdirSync('src', { recursive: true, encoding: 'utf8' });
  return Object.fromEntries(
    paths
      .filter((path) => path.endsWith('-main.ts'))
      .map((path) => [basename(path, '.ts'), `src/${path}`]),
  );
}
