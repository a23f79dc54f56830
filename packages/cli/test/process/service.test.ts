import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeRandomCheckpoint } from '@megascale/core';
import { until } from '@megascale/core/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const program = fileURLToPath(new URL('../../bin/megascale.js', import.meta.url));
const readme = fileURLToPath(new URL('../../README.md', import.meta.url));

let folder = '';
let model = '';
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'megascale-service-'));
  model = join(folder, 'random');
  await makeRandomCheckpoint(model, {
    family: 'mixtral',
    hidden: 32,
    layers: 2,
    experts: 4,
    topK: 2,
    expertWidth: 32,
    heads: 2,
    kvHeads: 1,
    vocab: 300,
    positions: 256,
    seed: 0,
  });
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const isRunning = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

interface Health {
  readonly stats: { readonly workers: readonly { readonly pid: number }[] };
}

/** Starts a server and waits for it; resolves to the process and the pids of its workers. */
async function startServer(command: string, args: readonly string[], npm = false) {
  const quick = ['--port', '0', '--json', '--backend', 'reference', '--kv-pages', '64'];
  const child = spawn(command, [...args, ...quick], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...(npm ? { npm_command: 'exec' } : {}) },
  });
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
  let output = '';
  child.stdout.on('data', (data: Buffer) => (output += data.toString()));
  await until(() => output.includes('\n'));
  const { url } = JSON.parse(output) as { url: string };
  const health = (await (await fetch(`${url}/health`)).json()) as Health;
  const workers = health.stats.workers.map(({ pid }) => pid);
  expect(workers).toHaveLength(2);
  return { child, exit, url, workers };
}

describe('a server that a service manager starts', () => {
  it('as the README says ends on SIGTERM with 0, after its requests and with its workers', async () => {
    const [, line = ''] = /^ExecStart=(.*)$/m.exec(readFileSync(readme, 'utf8')) ?? [];
    const [node, script, ...words] = line.split(' ');
    expect({ node, script }).toEqual({
      node: '/usr/bin/node',
      script: '/opt/megascale/node_modules/megascale/bin/megascale.js',
    });
    const args = words.map((word) => (word === '/srv/model' ? model : word));
    const { child, exit, url, workers } = await startServer(process.execPath, [program, ...args]);
    const answer = fetch(`${url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'x', max_tokens: 60, ignore_eos: true, stream: true }),
    });
    // The request runs once the headers of its stream are here.
    const response = await answer;
    child.kill('SIGTERM');
    expect(await response.text()).toContain('[DONE]');
    expect(await exit).toBe(0);
    await until(() => !workers.some(isRunning));
  });

  it('through the shell of npx ends when the shell is gone', async () => {
    const shell = `"${process.execPath}" "${program}" serve "${model}" "$@"; exit $?`;
    const { child, workers, url } = await startServer('sh', ['-c', shell, 'sh'], true);
    child.kill('SIGTERM');
    await until(() => !workers.some(isRunning));
    await expect(fetch(url)).rejects.toThrow();
  });
});
