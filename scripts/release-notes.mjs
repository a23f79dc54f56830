// Prints the part of CHANGELOG.md about the version that the packages carry:
//
//   node scripts/release-notes.mjs [TAG]
//
// Fails if the changelog says nothing about it, or if TAG is not v and that version.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './prepare.mjs';

const [tag] = process.argv.slice(2);
const { version } = JSON.parse(readFileSync(join(root, 'packages/cli/package.json'), 'utf8'));
if (tag !== undefined && tag !== `v${version}`)
  fail(`The tag ${tag} and the version ${version} of the packages differ.`);

const parts = readFileSync(join(root, 'CHANGELOG.md'), 'utf8').split(/^## /m);
const part = parts.find((text) => text.split('\n', 1)[0].trim() === version);
if (part === undefined) fail(`CHANGELOG.md has no part "## ${version}".`);
console.log(part.slice(part.indexOf('\n')).trim());

function fail(message) {
  console.error(message);
  process.exit(1);
}
