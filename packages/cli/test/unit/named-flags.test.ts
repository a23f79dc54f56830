import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { commandNodes } from '../../src/commands/completion/command-tree.js';
import { createProgram } from '../../src/program.js';
import { fixtureWorld } from '../support/cli-fixture.js';

const root = fileURLToPath(new URL('../../../../', import.meta.url));

/** Flags of other programs, by the text before them on the line. */
const otherPrograms =
  /\b(hf|npm|npx (vitest|turbo|tsc|prettier)|vitest|node|git|cmake|docker|python3?|pip|mpirun|taskset|curl|perf|numactl)\b[^`]*$/;
/** How the glossary names the same option of other engines. */
const otherEngines = /\b(vLLM|SGLang) `$/;
/** Of the native test programs, which docs/kernels.md describes. */
const nativeTests = ['--only', '--case-seed'];
/** Modules that run other programs: MPI and the compilers of its baselines. */
const runsOthers = /packages\/bench\/src\/m2n\/(contenders|roles)\//;

function filesUnder(folder: string, extension: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith(extension) && !/node_modules|dist\/|build\//.test(path))
    .map((path) => join(folder, path));
}

const packages = readdirSync(join(root, 'packages'));
const files = [
  ...packages.flatMap((name) => filesUnder(join('packages', name, 'src'), '.ts')),
  ...packages.map((name) => join('packages', name, 'README.md')),
  ...filesUnder('docs', '.md').filter((path) => !path.includes('decisions')),
  'README.md',
].filter((path) => !runsOthers.test(path));

const nodes = commandNodes(createProgram(fixtureWorld()));
const known = new Set(
  nodes.flatMap(({ flags }) =>
    flags.flatMap(({ names }) => names.flatMap((name) => [name, name.replace('--no-', '--')])),
  ),
);

function unknownFlags(path: string): string[] {
  const lines = readFileSync(join(root, path), 'utf8').split('\n');
  return lines.flatMap((line, index) =>
    [...line.matchAll(/(?<![\w-])--[a-z][a-z0-9-]*[a-z0-9](?!-)/g)]
      .filter((match) => {
        const before = line.slice(0, match.index);
        return !otherPrograms.test(before) && !otherEngines.test(before);
      })
      .map(([flag]) => flag)
      .filter((flag) => !known.has(flag) && !nativeTests.includes(flag))
      .map((flag) => `${path}:${index + 1} ${flag}`),
  );
}

describe('every flag that an error text, another text of the sources, or a page names', () => {
  it('exists', () => {
    expect(files.length).toBeGreaterThan(300);
    expect(files.flatMap(unknownFlags)).toEqual([]);
  });
});
