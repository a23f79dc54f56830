import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProgram } from '../../src/program.js';
import { commandNodes } from '../../src/commands/completion/command-tree.js';
import { finishedCli, fixtureWorld } from '../support/cli-fixture.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'megascale-completion-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const canRun = (shell: string): boolean => spawnSync(shell, ['--version']).status === 0;

async function scriptFile(shell: string): Promise<string> {
  const { stdout, code } = await finishedCli(['completion', shell]);
  expect(code).toBe(0);
  const file = join(folder, `script.${shell}`);
  writeFileSync(file, stdout);
  return file;
}

describe('completion', () => {
  it('offers every command and every flag of the program, in each shell', async () => {
    const nodes = commandNodes(createProgram(fixtureWorld()));
    expect(nodes.length).toBeGreaterThan(20);
    for (const shell of ['bash', 'zsh', 'fish']) {
      const { stdout } = await finishedCli(['completion', shell]);
      for (const { offers, flags } of nodes) {
        const names = flags.flatMap((flag) => flag.names);
        for (const { name } of offers) expect(stdout).toContain(name);
        for (const name of names) {
          expect(stdout).toContain(shell === 'fish' ? name.replace(/^--?/, '') : name);
        }
      }
    }
  });

  it('refuses a shell it does not know, and names those it knows', async () => {
    const run = await finishedCli(['completion', 'tcsh']);
    expect(run.code).toBe(2);
    expect(run.stderr).toContain('bash, zsh, fish');
  });

  it.runIf(canRun('bash'))('completes in bash', async () => {
    const file = await scriptFile('bash');
    const complete = (...words: string[]): string[] => {
      const program =
        'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _megascale; echo "${COMPREPLY[*]}"';
      const shell = spawnSync('bash', ['-c', program, file, 'megascale', ...words]);
      return shell.stdout.toString().trim().split(' ');
    };
    expect(complete('')).toContain('doctor');
    expect(complete('se')).toEqual(['serve']);
    expect(complete('serve', '--po')).toContain('--port');
    expect(complete('serve', '--log-level', '')).toContain('debug');
    expect(complete('serve', '--log-level', '=', 'w')).toEqual(['warn']);
    expect(complete('bench', 'dec')).toEqual(['decode']);
    expect(complete('bench', 'decode', '--batch')).toContain('--batch');
    expect(complete('completion', 'z')).toEqual(['zsh']);
    expect(complete('help', 'gen')).toEqual(['generate']);
    // Here bash goes on with file names.
    expect(complete('serve', '')).toEqual(['']);
  });

  it.each(['zsh', 'fish'].filter(canRun))('prints what %s can read', async (shell) => {
    expect(spawnSync(shell, ['-n', await scriptFile(shell)]).status).toBe(0);
  });
});
