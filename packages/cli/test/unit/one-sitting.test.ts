import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { repository } from '../support/doc-blocks.js';

it('the one sitting is at most twelve files of 2,500 lines together', () => {
  const page = readFileSync(join(repository, 'docs/one-sitting.md'), 'utf8');
  const section = /## Twelve files\n(?<rows>.*?)\n## /s.exec(page)?.groups?.['rows'] ?? '';
  const files = [...section.matchAll(/\]\(\.\.\/(?<path>[^)]+)\)/g)].map(
    ({ groups }) => groups?.['path'] ?? '',
  );
  const lines = files.map(
    (file) => readFileSync(join(repository, file), 'utf8').split('\n').length,
  );
  expect(files).toHaveLength(12);
  expect(lines.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(2500);
});
