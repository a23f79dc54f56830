import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const packageFile = (path: string): string =>
  fileURLToPath(new URL(`../../${path}`, import.meta.url));

it.runIf(process.platform === 'linux')('the example of the README runs as it says', () => {
  const readme = readFileSync(packageFile('README.md'), 'utf8');
  const code = /```js\n(?<code>.*?)```/s.exec(readme)?.groups?.['code'];
  const printed = /It prints `(?<printed>.*?)`/.exec(readme)?.groups?.['printed'];
  if (code === undefined || printed === undefined) throw new Error('The README has no example.');
  mkdirSync(packageFile('build'), { recursive: true });
  const file = packageFile('build/two-workers.mjs');
  writeFileSync(file, code);
  const output = execFileSync(process.execPath, [file], { encoding: 'utf8', timeout: 20_000 });
  expect(output.trim()).toBe(printed);
});
