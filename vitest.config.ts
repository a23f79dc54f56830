import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

declare module 'vitest' {
  interface ProvidedContext {
    /** 'unit', 'process' or 'long'. */
    readonly tier: string;
  }
}

const packagesRoot = fileURLToPath(new URL('packages/', import.meta.url));
const packages = readdirSync(packagesRoot)
  .filter((folder) => existsSync(`${packagesRoot}${folder}/package.json`))
  .map((folder) => {
    const text = readFileSync(`${packagesRoot}${folder}/package.json`, 'utf8');
    return { folder, name: (JSON.parse(text) as { readonly name: string }).name };
  });

/** Packages resolve to their TypeScript sources, so a unit test needs no build. */
const alias = packages
  .flatMap(({ folder, name }) => [
    { find: `${name}/testing`, replacement: `${packagesRoot}${folder}/src/testing/index.ts` },
    { find: name, replacement: `${packagesRoot}${folder}/src/index.ts` },
  ])
  .map(({ find, replacement }) => ({ find: new RegExp(`^${find}$`), replacement }));

/**
 * The three tiers of tests; CONTRIBUTING.md says what stands in which. Suites of the long tier
 * mostly wait for other processes, so more of them run at once than there are cores. Unit tests change
 * nothing outside of themselves, so the files that a worker runs share the modules it has loaded.
 */
const tiers = [
  { name: 'unit', maxWorkers: availableParallelism(), isolate: false },
  { name: 'process', maxWorkers: availableParallelism(), isolate: true },
  { name: 'long', maxWorkers: availableParallelism() + 1, isolate: true },
];

export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    projects: tiers.map(({ name, maxWorkers, isolate }, order) => ({
      extends: true,
      resolve: { alias },
      test: {
        name,
        maxWorkers,
        isolate,
        provide: { tier: name },
        include: [`packages/*/test/${name}/**/*.test.ts`],
        environment: 'node',
        sequence: { groupOrder: order },
      },
    })),
  },
});
