// Publishes the tarballs that `pack-release.mjs` left in a folder, each after those it depends on,
// so that every package installs from the moment it appears:
//
//   node scripts/publish-release.mjs FOLDER [--dry-run]
//
// A version that npm has already is left out, so a run that broke off can be repeated.
import { execFileSync, spawnSync } from 'node:child_process';
import { readTarballs } from './pack-release.mjs';

const [folder, mode] = process.argv.slice(2);
if (folder === undefined) {
  console.error('usage: node scripts/publish-release.mjs FOLDER [--dry-run]');
  process.exit(2);
}
const manifests = readTarballs(folder);

for (const { name, version, path } of inOrder()) {
  if (mode !== '--dry-run' && isPublished(`${name}@${version}`)) {
    console.log(`${name}@${version} is published already`);
    continue;
  }
  const options = ['--access', 'public', '--tag', version.includes('-') ? 'next' : 'latest'];
  options.push(mode === '--dry-run' ? '--dry-run' : '--provenance');
  console.log(`${name}@${version}`);
  execFileSync('npm', ['publish', path, '--ignore-scripts', ...options], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

/** Packages after those of this release that they depend on. */
function inOrder() {
  const ordered = new Map();
  const visit = (manifest) => {
    if (ordered.has(manifest.name)) return;
    const { dependencies, optionalDependencies, peerDependencies } = manifest;
    for (const name of Object.keys({
      ...dependencies,
      ...optionalDependencies,
      ...peerDependencies,
    }))
      if (manifests.has(name)) visit(manifests.get(name));
    ordered.set(manifest.name, manifest);
  };
  for (const manifest of manifests.values()) visit(manifest);
  return ordered.values();
}

function isPublished(specifier) {
  const { stdout } = spawnSync('npm', ['view', specifier, 'version'], { encoding: 'utf8' });
  return stdout.trim() !== '';
}
