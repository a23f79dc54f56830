import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

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

export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    projects: packages.map(({ folder }) => ({
      extends: true,
      root: `${packagesRoot}${folder}`,
      resolve: { alias },
      test: {
        name: folder,
        include: ['test/**/*.test.ts'],
        environment: 'node',
      },
    })),
  },
});
