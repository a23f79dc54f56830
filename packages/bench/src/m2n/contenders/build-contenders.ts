import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { availableParallelism, homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const sources = fileURLToPath(new URL('../native', import.meta.url));

/** Where the programs of one state of the sources are, or why there are none. */
export type Programs = { readonly folder: string } | { readonly absent: string };

/**
 * Builds native/ for whatever libraries this machine has, into the user's cache; once built, only
 * what changed. Contenders without their library are left out, and so are all of them where a
 * compiler is missing.
 */
export async function buildContenders(): Promise<Programs> {
  for (const [tool, install] of [
    ['cmake', 'cmake'],
    ['c++', 'g++'],
    ['make', 'make'],
  ] as const) {
    if (spawnSync(tool, ['--version']).status !== 0) return { absent: `apt install ${install}` };
  }
  const key = createHash('sha256').update(sources).digest('hex').slice(0, 12);
  const folder = join(homedir(), '.cache', 'megascale', `m2n-contenders-${key}`);
  try {
    mkdirSync(folder, { recursive: true });
    const run = promisify(execFile);
    await run('cmake', ['-S', sources, '-B', folder, '-G', 'Unix Makefiles']);
    await run('cmake', ['--build', folder, '--parallel', String(availableParallelism())]);
    return { folder };
  } catch (error) {
    const { stderr = String(error) } = error as { readonly stderr?: string };
    return { absent: `a compiler that builds ${sources}: ${stderr.trim().slice(0, 400)}` };
  }
}

/** The program's path, or what brings it. */
export function programOf(
  programs: Programs,
  { program, install }: { readonly program: string; readonly install: string },
): { readonly path: string } | { readonly absent: string } {
  if ('absent' in programs) return programs;
  const path = join(programs.folder, program);
  return existsSync(path) ? { path } : { absent: install };
}
