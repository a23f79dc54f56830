import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const packagesRoot = fileURLToPath(new URL('packages/', import.meta.url));
const packageNames = readdirSync(packagesRoot).filter((name) =>
  existsSync(`${packagesRoot}${name}/package.json`),
);

/** Packages resolve to their TypeScript sources, so a unit test needs no build. */
const alias = packageNames
  .flatMap((name) => [
    {
      find: `@megascale/${name}/testing`,
      replacement: `${packagesRoot}${name}/src/testing/index.ts`,
    },
    { find: `@megascale/${name}`, replacement: `${packagesRoot}${name}/src/index.ts` },
  ])
  .map(({ find, replacement }) => ({ find: new RegExp(`^${find}$`), replacement }));

export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    projects: packageNames.map((name) => ({
      extends: true,
      root: `${packagesRoot}${name}`,
      resolve: { alias },
      test: {
        name,
        include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
        environment: 'node',
      },
    })),
  },
});
