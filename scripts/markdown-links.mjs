// Links of Markdown files: what they point at, and how a published README points at it.
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname, join, posix, relative, resolve, sep } from 'node:path';
import { root } from './prepare.mjs';

const code = /(^ {0,3}(?:```|~~~)[\s\S]*?^ {0,3}(?:```|~~~)[^\n]*$|`[^`\n]*`)/m;
const target = /\]\((<[^>\n]*>|[^)\s]+)/g;
const generatedFolders = new Set(['node_modules', 'dist', 'build', '.git', '.turbo', 'api']);

/** Replaces every link target outside code by what `replace` returns for it. → Markdown */
export function mapLinks(markdown, replace) {
  const parts = markdown.split(code);
  return parts
    .map((part, index) =>
      index % 2 === 1 ? part : part.replace(target, (_, link) => `](${replace(link)}`),
    )
    .join('');
}

export function isRelative(link) {
  return !/^([a-z][a-z0-9+.-]*:|#|\/)/i.test(link);
}

/**
 * The README of a package as npm shows it: links that are relative in the repository lead to the
 * files of the release's tag there.
 */
export function withAbsoluteLinks(markdown, packageFolder, repositoryUrl, tag) {
  return mapLinks(markdown, (link) => {
    if (!isRelative(link)) return link;
    const [path, anchor] = link.split('#');
    const file = resolve(packageFolder, path);
    const inRepository = relative(root, file).split(sep).join(posix.sep);
    const view = /\.(svg|png|jpg)$/.test(path) ? 'raw' : isFolder(file) ? 'tree' : 'blob';
    const url = `${repositoryUrl}/${view}/${tag}/${inRepository}`;
    return anchor === undefined ? url : `${url}#${anchor}`;
  });
}

/** Relative links and anchors of the Markdown file `path` that lead nowhere. → one line each */
export function brokenLinks(path) {
  const broken = [];
  const markdown = readFileSync(path, 'utf8');
  mapLinks(markdown, (link) => {
    if (!isRelative(link) && !link.startsWith('#')) return link;
    const [to, anchor] = link.split('#');
    const file = to === '' ? path : resolve(dirname(path), to);
    if (!existsSync(file)) broken.push(`${relative(root, path)}: ${link}: no such file`);
    else if (anchor !== undefined && file.endsWith('.md') && !anchorsOf(file).has(anchor))
      broken.push(`${relative(root, path)}: ${link}: no such heading`);
    return link;
  });
  return broken;
}

/** All Markdown files below `folder` that are written by hand. */
export function markdownFiles(folder = root) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return generatedFolders.has(entry.name) ? [] : markdownFiles(path);
    return entry.name.endsWith('.md') ? [path] : [];
  });
}

/** Anchors of a file's headings, made as GitHub makes them. */
function anchorsOf(path) {
  const anchors = new Set();
  const fences = new RegExp(code.source.split('|`')[0] + ')', 'gm');
  const text = readFileSync(path, 'utf8').replace(fences, '');
  for (const [, heading] of text.matchAll(/^#{1,6} +(.*?) *#*$/gm)) {
    const slug = heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M}_ -]/gu, '')
      .replaceAll(' ', '-');
    let anchor = slug;
    for (let copy = 1; anchors.has(anchor); copy += 1) anchor = `${slug}-${copy}`;
    anchors.add(anchor);
  }
  return anchors;
}

function isFolder(path) {
  return existsSync(path) && statSync(path).isDirectory();
}
