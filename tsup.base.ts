import type { Options } from 'tsup';

/**
 * The build of every package: ESM and CommonJS, each with its own types. Process and thread start
 * files are named `src/*-main.ts`; each becomes an entry of its own, `dist/*-main.js`.
 */
export const packageBuild: Options = {
  entry: ['src/index.ts', 'src/*-main.ts'],
  format: ['esm', 'cjs'],
  target: 'node20',
  tsconfig: 'tsconfig.build.json',
  dts: { entry: { index: 'src/index.ts' } },
  shims: true,
  sourcemap: true,
  clean: true,
  silent: true,
};
