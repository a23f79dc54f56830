// Packs all public packages as they are published, tarballs into the folder given:
//
//   node scripts/pack-release.mjs OUT [PREBUILT]
//
// The native addons go into packages of their own, one per platform, which npm picks by `os` and
// `cpu` as optional dependencies. They appear only here because a lock file cannot name packages
// that are not published yet. PREBUILT holds <package>/<platform>-<arch>/<addon>.node for every
// platform of a release. Without it the packages hold this machine's build alone, for tests.
//
// Each package gets the license and the changelog of the repository, and a README whose links lead
// to the files of the release's tag.
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { withAbsoluteLinks } from './markdown-links.mjs';
import { root } from './prepare.mjs';

const releasePlatforms = ['linux-x64', 'linux-arm64', 'darwin-arm64'];
const thisPlatform = `${process.platform}-${process.arch}`;

/** Paths of the tarballs made in `outFolder`, by package name. */
export function packRelease(outFolder, prebuiltFolder) {
  const stage = mkdtempSync(join(tmpdir(), 'megascale-stage-'));
  try {
    const folders = readdirSync(join(root, 'packages'))
      .map((name) => join(root, 'packages', name))
      .filter((folder) => existsSync(join(folder, 'package.json')))
      .flatMap((folder) => stagePackage(folder, stage, prebuiltFolder));
    mkdirSync(outFolder, { recursive: true });
    return new Map(folders.map((folder) => [readManifest(folder).name, pack(folder, outFolder)]));
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}

/** Manifests of the tarballs in `folder`, each with the tarball's `path`, by package name. */
export function readTarballs(folder) {
  const paths = readdirSync(folder)
    .filter((name) => name.endsWith('.tgz'))
    .map((name) => join(resolve(folder), name));
  return new Map(
    paths.map((path) => {
      const args = ['-xzOf', path, 'package/package.json'];
      const manifest = JSON.parse(execFileSync('tar', args, { encoding: 'utf8' }));
      return [manifest.name, { ...manifest, path }];
    }),
  );
}

/**
 * Copies what a package publishes; returns the staged folders: the package and its platform
 * packages.
 */
function stagePackage(source, stage, prebuiltFolder) {
  const manifest = readManifest(source);
  if (manifest.private) return [];
  const staged = join(stage, manifest.name);
  for (const path of manifest.files)
    cpSync(join(source, path), join(staged, path), { recursive: true });
  for (const path of ['LICENSE', 'CHANGELOG.md']) cpSync(join(root, path), join(staged, path));
  writeFileSync(join(staged, 'README.md'), publishedReadme(source, manifest));

  const platforms = findAddons(source, manifest, prebuiltFolder).map(({ platform, addonPath }) =>
    stagePlatformPackage(stage, manifest, platform, addonPath),
  );
  const published = { ...manifest, files: [...manifest.files, 'CHANGELOG.md'] };
  for (const field of ['scripts', 'devDependencies', 'binary']) delete published[field];
  if (platforms.length > 0) {
    published.optionalDependencies = Object.fromEntries(
      platforms.map((folder) => [readManifest(folder).name, manifest.version]),
    );
  }
  writeManifest(staged, published);
  return [staged, ...platforms];
}

function publishedReadme(source, manifest) {
  const url = manifest.repository.url.replace(/^git\+/, '').replace(/\.git$/, '');
  const readme = readFileSync(join(source, 'README.md'), 'utf8');
  return withAbsoluteLinks(readme, source, url, `v${manifest.version}`);
}

/** @throws Error that names the file, where PREBUILT lacks the addon of a platform. */
function findAddons(source, manifest, prebuiltFolder) {
  if (!manifest.binary) return [];
  const name = manifest.name.split('/')[1];
  const file = `${name.replaceAll('-', '_')}.node`;
  if (!prebuiltFolder)
    return [{ platform: thisPlatform, addonPath: join(source, 'build', 'Release', file) }];
  return releasePlatforms.map((platform) => {
    const addonPath = join(prebuiltFolder, name, platform, file);
    if (!existsSync(addonPath)) throw new Error(`A release needs ${addonPath}, which is missing.`);
    return { platform, addonPath };
  });
}

function stagePlatformPackage(stage, manifest, platform, addonPath) {
  const [os, cpu] = platform.split('-');
  const folder = join(stage, `${manifest.name}-${platform}`);
  mkdirSync(folder, { recursive: true });
  cpSync(addonPath, join(folder, 'addon.node'));
  cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  writeManifest(folder, {
    name: `${manifest.name}-${platform}`,
    version: manifest.version,
    description: `The native addon of ${manifest.name} for ${platform}`,
    license: manifest.license,
    author: manifest.author,
    homepage: manifest.homepage,
    repository: manifest.repository,
    bugs: manifest.bugs,
    engines: manifest.engines,
    os: [os],
    cpu: [cpu],
    ...(os === 'linux' ? { libc: ['glibc'] } : {}),
    main: './addon.node',
    files: ['addon.node'],
    publishConfig: manifest.publishConfig,
  });
  return folder;
}

function pack(folder, outFolder) {
  const args = [
    'pack',
    '--json',
    '--ignore-scripts',
    '--loglevel=error',
    '--pack-destination',
    outFolder,
  ];
  const [{ filename }] = JSON.parse(execFileSync('npm', args, { cwd: folder, encoding: 'utf8' }));
  return join(outFolder, filename.replace('@', '').replace('/', '-'));
}

function readManifest(folder) {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
}

function writeManifest(folder, manifest) {
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [out, prebuilt] = process.argv.slice(2);
  if (out === undefined) {
    console.error('usage: node scripts/pack-release.mjs OUT [PREBUILT]');
    process.exit(2);
  }
  for (const path of packRelease(resolve(out), prebuilt && resolve(prebuilt)).values())
    console.log(path);
}
