import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const script = fileURLToPath(new URL('../../../../scripts/option-docs.mjs', import.meta.url));

it('READMEs and config.schema.json say of options what their schemas say', async () => {
  const { stderr } = await promisify(execFile)(process.execPath, [script]);
  expect(stderr).toBe('');
}, 120_000);
