// Checks the format of all C++ and CUDA sources, or writes it with --write.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root, run } from './prepare.mjs';

const sources = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter(
    (path) =>
      /(\/native|^cmake)\/.*\.(cc|cpp|cu|h|hpp|cuh)$/.test(path) && existsSync(join(root, path)),
  );

if (sources.length > 0) {
  const mode = process.argv.includes('--write') ? ['-i'] : ['--dry-run', '--Werror'];
  const clangFormat = join(root, 'node_modules', '.bin', 'clang-format-node');
  process.exitCode = await run(clangFormat, [...mode, '--style=file', ...sources]);
}
