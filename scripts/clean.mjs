// Removes everything that a build makes, and nothing else.
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './prepare.mjs';

const made = ['dist', 'build', '.turbo', 'coverage'];
for (const name of readdirSync(join(root, 'packages'))) {
  for (const folder of made)
    rmSync(join(root, 'packages', name, folder), { recursive: true, force: true });
}
for (const folder of ['.turbo', 'coverage', 'docs/api']) {
  rmSync(join(root, folder), { recursive: true, force: true });
}
