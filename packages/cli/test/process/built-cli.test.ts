import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '@megascale/core/testing';

/**
 * What `npx megascale` runs: the built command on the real engine, with the backend every machine
 * has.
 */
const program = fileURLToPath(new URL('../../bin/megascale.js', import.meta.url));
const reference = ['--backend', 'reference', '--kv-pages', '64'];

let folder = '';
let model = '';
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'megascale-built-'));
  model = join(folder, 'random');
  const sizes =
    '--hidden 32 --layers 2 --experts 4 --expert-width 32 --heads 2 --kv-heads 1 --vocab 300';
  const made = await run(['make-model', model, ...sizes.split(' ')]);
  expect(made).toMatchObject({ code: 0, stderr: '' });
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

function start(words: readonly string[]): ChildProcessByStdio<null, Readable, Readable> {
  return spawn(process.execPath, [program, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
}

async function run(words: readonly string[]) {
  const child = start(words);
  const exit = new Promise<number | null>((resolve) => child.once('close', resolve));
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), exit]);
  return { stdout, stderr, code };
}

describe('the built command', () => {
  it('generates the same tokens colocated and disaggregated, one JSON document each', async () => {
    const file = join(folder, 'prompts.jsonl');
    const lines = [
      { prompt: 'one', seed: 1, temperature: 1 },
      { promptTokens: [5, 6, 7], seed: 2 },
      { prompt: 'three', temperature: 0 },
    ];
    writeFileSync(file, lines.map((line) => JSON.stringify(line)).join('\n'));
    const words = [
      'generate',
      model,
      '--prompts',
      file,
      '--max-tokens',
      '6',
      '--ignore-eos',
      '--json',
    ];
    const tokensOf = async (...topology: string[]): Promise<number[][]> => {
      const { stdout, stderr, code } = await run([...words, ...reference, ...topology]);
      expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
      const { results } = JSON.parse(stdout) as { results: { tokens: number[] }[] };
      return results.map((result) => result.tokens);
    };
    const colocated = await tokensOf('--colocated');
    expect(colocated.map((tokens) => tokens.length)).toEqual([6, 6, 6]);
    const pools = ['--attention-workers', '2', '--expert-workers', '2', '--micro-batches', '3'];
    expect(await tokensOf(...pools)).toEqual(colocated);
  });

  it('generates under a policy that fails, and says so', async () => {
    const policy = join(folder, 'odd.mjs');
    writeFileSync(
      policy,
      "export default { specVersion: 1, name: 'odd', plan: () => ({ preempt: [] }) };",
    );
    const words = [
      'generate',
      model,
      '--prompt-tokens',
      '5,6',
      '--max-tokens',
      '3',
      '--ignore-eos',
    ];
    const { stdout, stderr, code } = await run([
      ...[...words, '--temperature', '0', '--colocated', ...reference],
      ...['--policy', policy, '--policy-time-ms', '60000'],
    ]);
    expect(code).toBe(0);
    expect(stdout).not.toBe('');
    expect(stderr).toMatch(/ERR_PLAN_INVALID/);
    expect(stderr.match(/policy failed/g)).toHaveLength(1);
    expect(stderr).toContain("Policy 'odd' failed: it returned no plan");
  });

  it('serves until it is told to stop, then ends with 0', async () => {
    const child = start(['serve', model, '--port', '0', '--colocated', '--json', ...reference]);
    const exit = new Promise<number | null>((resolve) => child.once('close', resolve));
    let output = '';
    child.stdout.on('data', (data: Buffer) => (output += data.toString()));
    await until(() => output.includes('\n'));
    const { url } = JSON.parse(output) as { url: string };
    const response = await fetch(`${url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'random', prompt: 'x', max_tokens: 3, ignore_eos: true }),
    });
    expect(await response.json()).toMatchObject({ usage: { completion_tokens: 3 } });
    child.kill('SIGTERM');
    expect(await exit).toBe(0);
  });

  it('tells apart what failed and what was asked wrongly', async () => {
    const missing = await run(['generate', join(folder, 'nothing'), '--prompt', 'x']);
    expect(missing).toMatchObject({ code: 1, stdout: '' });
    expect(missing.stderr).toMatch(/^error ERR_CHECKPOINT_MISSING: .*\n$/);
    const wrong = await run(['generate', model, '--prompt', 'x', '--max-tokens', '0', '--json']);
    expect(wrong).toMatchObject({ code: 2, stderr: '' });
    expect(JSON.parse(wrong.stdout)).toMatchObject({ error: { code: 'ERR_USAGE' } });
  });

  it('lets its reader have enough', async () => {
    const child = start(['help', 'generate']);
    child.stdout.destroy();
    const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
    expect(code).toBe(0);
  });
});
