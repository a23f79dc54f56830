import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fcfs } from '../../src/index.js';
import { calmDecode, showSteps } from '../support/calm-decode.js';

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');
const prompts = [[1, 2, 3], Array.from({ length: 100 }, (_, index) => index)];

describe('the example of the README', () => {
  it('is the file that runs here', () => {
    expect(read('../../README.md')).toContain(
      `\`\`\`ts\n${read('../support/calm-decode.ts')}\`\`\``,
    );
  });

  it.each([
    { policy: fcfs, name: 'fcfs' },
    { policy: calmDecode(16), name: 'calm-decode' },
  ])('takes the steps that are printed there, with $name', ({ policy, name }) => {
    const printed = showSteps(policy, prompts).join(' | ');
    expect(read('../../README.md')).toContain(`${name.padEnd(12)} ${printed}`);
  });
});
