import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { MegascaleError } from '@megascale/core';
import { afterEach, describe, expect, it } from 'vitest';
import { LLM } from '../../dist/index.js';
import { collect, dictionary, mixedRequests } from '../support/run-requests.js';

const open: LLM[] = [];

async function load(options: Parameters<typeof LLM.load>[1]): Promise<LLM> {
  const llm = await LLM.load(dictionary, { threads: 1, ...options });
  open.push(llm);
  return llm;
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((llm) => llm.close()));
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A zombie is dead, though its parent has not asked yet.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${String(pid)}/status`, 'utf8'));
  } catch {
    return false;
  }
}

async function until(condition: () => boolean | Promise<boolean>, limitMs = 20_000): Promise<void> {
  const end = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error('the condition never came true');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function sharedMemoryNames(): string[] {
  return existsSync('/dev/shm')
    ? // Benchmarks of other programs keep files there.
      readdirSync('/dev/shm').filter((name) => /megascale(?!-bench)/.test(name))
    : [];
}

describe.each(['attention', 'expert'] as const)('a killed %s worker', (role) => {
  it('ends its requests with ERR_PEER_CLOSED, and the engine serves again', async () => {
    // Over a slow link, so that none ends before the worker is killed.
    const emulatedLink = { latencyUs: 2000 };
    const llm = await load({ attentionWorkers: 2, expertWorkers: 2, emulatedLink });
    const before = await llm.stats();
    const victim = before.workers.find((worker) => worker.role === role);
    const requests = mixedRequests(8, 4096).map(({ prompt }) =>
      collect(llm, prompt, { maxTokens: 300, ignoreEos: true, temperature: 0 }),
    );
    const outcomes = Promise.allSettled(requests);
    await until(async () => (await llm.stats()).outputTokensTotal > 16);
    process.kill(victim?.pid ?? 0, 'SIGKILL');

    for (const outcome of await outcomes) {
      if (outcome.status === 'fulfilled') continue;
      expect(MegascaleError.isInstance(outcome.reason) && outcome.reason.code).toBe(
        'ERR_PEER_CLOSED',
      );
      expect(String(outcome.reason)).toContain(role);
    }
    expect((await outcomes).some(({ status }) => status === 'rejected')).toBe(true);
    await until(async () => (await llm.stats()).state === 'ready');
    expect(before.workers.some(({ pid }) => isAlive(pid))).toBe(false);
    const again = await collect(llm, 'lighthouse (noun):', { maxTokens: 4, temperature: 0 });
    expect(again.tokens.length).toBeGreaterThan(0);
  }, 60_000);
});

it('gives up after restartsMax losses and says why', async () => {
  const llm = await load({ restartsMax: 0 });
  const [worker] = (await llm.stats()).workers;
  process.kill(worker?.pid ?? 0, 'SIGKILL');
  await until(async () => (await llm.stats()).state === 'failed');
  expect((await llm.stats()).reason).toContain('SIGKILL');
  await expect(collect(llm, 'a', { maxTokens: 1 })).rejects.toMatchObject({
    code: 'ERR_UNAVAILABLE',
  });
});

it.each(['SIGKILL', 'SIGTERM', 'SIGINT'] as const)(
  'leaves no worker and no shared memory when its own process ends by %s',
  async (signal) => {
    const child = fork(
      fileURLToPath(new URL('../support/serve-forever.mjs', import.meta.url)),
      [dictionary],
      {
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      },
    );
    const workers = await new Promise<number[]>((resolve) => {
      child.once('message', (message) => {
        resolve(message as number[]);
      });
    });
    expect(workers).toHaveLength(4);
    expect(workers.every(isAlive)).toBe(true);
    child.kill(signal);
    await until(() => !workers.some(isAlive));
    expect(sharedMemoryNames()).toEqual([]);
  },
  60_000,
);

it('serves 64 requests at once, 20 of them aborted on the way', async () => {
  const llm = await load({ attentionWorkers: 2, expertWorkers: 2, microBatches: 3 });
  const requests = mixedRequests(64, 4096);
  const expected = [];
  for (const { prompt, options } of requests) expected.push(await collect(llm, prompt, options));

  const answers = await Promise.allSettled(
    requests.map(async ({ prompt, options }, index) => {
      if (index % 3 !== 1 || index > 60) return collect(llm, prompt, options);
      const controller = new AbortController();
      let seen = 0;
      for await (const piece of llm.generate(prompt, {
        ...options,
        maxTokens: 200,
        signal: controller.signal,
      })) {
        seen += piece.tokens.length;
        if (seen > 2) controller.abort();
      }
      throw new Error('an aborted request must not end by itself');
    }),
  );
  const aborted = answers.filter(({ status }) => status === 'rejected');
  expect(aborted).toHaveLength(20);
  for (const [index, answer] of answers.entries()) {
    if (answer.status === 'fulfilled') expect(answer.value.tokens).toEqual(expected[index]?.tokens);
    else expect(answer.reason).toMatchObject({ code: 'ERR_ABORTED' });
  }
  await until(async () => {
    const { kvPagesFree, kvPagesTotal, requestsRunning, requestsWaiting } = await llm.stats();
    return kvPagesFree === kvPagesTotal && requestsRunning === 0 && requestsWaiting === 0;
  });
}, 120_000);

it('frees a sequence when its reader leaves the loop', async () => {
  const llm = await load({});
  for await (const piece of llm.generate('lighthouse (noun):', { ignoreEos: true })) {
    if (piece.tokens.length > 0) break;
  }
  await until(async () => {
    const { kvPagesFree, kvPagesTotal } = await llm.stats();
    return kvPagesFree === kvPagesTotal;
  });
});

it('drains: running requests end well, new ones are refused', async () => {
  const llm = await load({});
  const running = collect(llm, 'lighthouse (noun):', { maxTokens: 60, ignoreEos: true });
  await until(async () => (await llm.stats()).outputTokensTotal > 0);
  const closing = llm.close({ drainMs: 20_000 });
  await expect(collect(llm, 'a', { maxTokens: 1 })).rejects.toMatchObject({
    code: 'ERR_UNAVAILABLE',
  });
  expect((await running).tokens).toHaveLength(60);
  await closing;
});
