import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repository = fileURLToPath(new URL('../../../../', import.meta.url));

/** One fenced code block of a page. */
export interface DocBlock {
  /** `docs/schedule.md:15` */
  readonly place: string;
  readonly language: string;
  readonly code: string;
  /** Why the block is not run: the text after `not-run:` in its info string. */
  readonly notRun: string | undefined;
}

/** Pages for users. Decisions are history; tools and models have an environment of their own. */
const leftOut = /^(docs\/decisions|tools|models|\.changeset|\.github)\/|CHANGELOG\.md$/;

/** All fenced blocks of all pages, in order. */
export function docBlocks(): readonly DocBlock[] {
  const list = execFileSync('git', ['ls-files', '*.md'], { cwd: repository, encoding: 'utf8' });
  return list
    .split('\n')
    .filter((page) => page !== '' && !leftOut.test(page))
    .flatMap((page) => blocksOf(page, readFileSync(join(repository, page), 'utf8')));
}

export function blocksOf(page: string, text: string): DocBlock[] {
  return [...text.matchAll(/^```(?<info>[^\n]*)\n(?<code>.*?)^```$/gms)].map((match) => {
    const { info = '', code = '' } = match.groups ?? {};
    const line = text.slice(0, match.index).split('\n').length;
    const [language = ''] = info.split(' ');
    const notRun = /not-run: *(?<reason>.+)/.exec(info)?.groups?.['reason'];
    return { place: `${page}:${String(line)}`, language, code, notRun };
  });
}
