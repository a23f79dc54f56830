// Checks what no compiler does: every relative link of every Markdown file leads to a file and a
// heading, the index of decisions has each decision once, under its title, and all manifests agree.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { brokenLinks, markdownFiles } from './markdown-links.mjs';
import { root } from './prepare.mjs';

const problems = [
  ...markdownFiles().flatMap(brokenLinks),
  ...decisionProblems(),
  ...unlistedPages(),
  ...manifestProblems(),
];
for (const line of problems) console.error(line);
process.exitCode = problems.length === 0 ? 0 : 1;

/** The index lists the decisions in order of their numbers, each with the title of its page. */
function decisionProblems() {
  const folder = join(root, 'docs', 'decisions');
  const index = readFileSync(join(folder, 'README.md'), 'utf8');
  const pages = readdirSync(folder).filter((name) => /^\d/.test(name));
  return pages.flatMap((name, position) => {
    const number = Number(name.slice(0, 4));
    if (number !== position + 1) return [`docs/decisions/${name}: ${position + 1} is its number`];
    const heading = /^# (.*)$/m.exec(readFileSync(join(folder, name), 'utf8'))?.[1] ?? '';
    const title = heading.replace(/^\d+[.:]? +/, '');
    const line = index.split('\n').find((text) => text.includes(`[${number}](${name})`));
    if (line === undefined) return [`docs/decisions/README.md does not list ${name}`];
    if (!line.includes(`| ${title} `))
      return [`docs/decisions/README.md: ${name} is titled "${title}"`];
    return [];
  });
}

/** docs/README.md leads to every page of docs. */
function unlistedPages() {
  const index = readFileSync(join(root, 'docs', 'README.md'), 'utf8');
  return readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md') && name !== 'README.md')
    .filter((name) => !index.includes(`](${name})`))
    .map((name) => `docs/README.md does not list ${name}`);
}

/** The root manifest says where the project lives; each package says the same of its folder. */
function manifestProblems() {
  const main = readManifest('.');
  const url = main.repository.url.replace(/^git\+/, '').replace(/\.git$/, '');
  const packages = readdirSync(join(root, 'packages')).filter((name) =>
    existsSync(join(root, 'packages', name, 'package.json')),
  );
  const version = readManifest('packages/core').version;
  return packages.flatMap((name) => {
    const folder = `packages/${name}`;
    const manifest = readManifest(folder);
    const wanted = {
      version,
      license: main.license,
      author: main.author,
      homepage: `${url}/tree/main/${folder}#readme`,
      repository: { ...main.repository, directory: folder },
      bugs: main.bugs,
      engines: main.engines,
      publishConfig: { access: 'public', provenance: true },
    };
    const different = Object.keys(wanted).filter(
      (field) => JSON.stringify(manifest[field]) !== JSON.stringify(wanted[field]),
    );
    return [
      ...different.map((field) => `${folder}/package.json: ${field} is not as in package.json`),
      ...(manifest.keywords?.length > 0 ? [] : [`${folder}/package.json has no keywords`]),
      ...(existsSync(join(root, folder, 'README.md')) ? [] : [`${folder} has no README.md`]),
      ...(addonVersion(folder, version) === version
        ? []
        : [`${folder}/CMakeLists.txt: the version is not ${version}`]),
    ];
  });
}

/** The version that the package's addon is built as, `otherwise` where it has none. */
function addonVersion(folder, otherwise) {
  const path = join(root, folder, 'CMakeLists.txt');
  if (!existsSync(path)) return otherwise;
  return /project\(\w+ VERSION ([\d.]+)/.exec(readFileSync(path, 'utf8'))?.[1];
}

function readManifest(folder) {
  return JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
}
