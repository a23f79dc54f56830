import { describe, expect, it } from 'vitest';
import { ScriptedModel } from '@megascale/server/testing';
import type { LoadModel } from '../../src/compose.js';
import { finishedCli } from '../support/cli-fixture.js';

const loadModel: LoadModel = async (_directory, _deployment, onEvent) => {
  onEvent?.({ type: 'workers-starting', total: 2, weightBytes: 3 * 2 ** 20 });
  onEvent?.({ type: 'worker-ready', role: 'attention', rank: 0, ready: 1, total: 2 });
  // The bar draws five times a second.
  await new Promise((resolve) => setTimeout(resolve, 400));
  return new ScriptedModel();
};
const words = ['generate', 'some/model', '--prompt', 'x', '--max-tokens', '1'];

describe('while a model loads', () => {
  it('a terminal shows how many workers have their weights, and nothing after', async () => {
    let screen = '';
    const stderr = { isTTY: true, columns: 100, write: (text: string) => (screen += text) };
    const run = await finishedCli(words, { stderr, loadModel });
    expect(run).toMatchObject({ code: 0, stdout: ' a\n' });
    expect(screen).toContain('Reading some/model');
    expect(screen).toMatch(/Loading 3 MiB into 2 workers █{12}░{12} 50 %/);
    // The cursor is back.
    expect(screen).toContain('\u001B[?25h');
  });

  it('a log file gets lines, at the level info', async () => {
    const quiet = await finishedCli(words, { loadModel });
    expect(quiet.stderr).toBe('');
    const { stderr } = await finishedCli([...words, '--log-level', 'info'], { loadModel });
    expect(stderr).toContain('"weightBytes":3145728');
    expect(stderr).toContain('workers starting');
    expect(stderr).toContain('worker ready');
  });
});
