// Packs every package as npm would publish it and checks the tarballs: publint, are-the-types-wrong.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root, runTool } from './prepare.mjs';

const workFolder = mkdtempSync(join(tmpdir(), 'megascale-packages-'));
const failed = [];
try {
  for (const tarball of packAll()) {
    const checks = [
      ['publint', ['--strict', tarball]],
      ['attw', [tarball, '--profile', 'node16', '--no-emoji', '--format', 'ascii', '--quiet']],
    ];
    for (const [tool, args] of checks) {
      if ((await runTool(tool, args)) !== 0) failed.push(`${tool} ${tarball}`);
    }
  }
} finally {
  rmSync(workFolder, { recursive: true, force: true });
}
for (const line of failed) console.error(`failed: ${line}`);
process.exitCode = failed.length === 0 ? 0 : 1;

/** Paths of the tarballs of all public packages. */
function packAll() {
  execFileSync(
    'npm',
    ['pack', '--workspaces', '--pack-destination', workFolder, '--loglevel=error', '--silent'],
    {
      cwd: root,
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
  return readdirSync(workFolder)
    .filter((name) => name.endsWith('.tgz'))
    .map((name) => join(workFolder, name));
}
