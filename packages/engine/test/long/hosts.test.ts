import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { makeRandomCheckpoint } from '@megascale/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
// Workers are processes started from the build.
import { LLM, loadTransport, type LlmOptions } from '../../dist/index.js';
import { NamespaceHosts, whyNoNamespaces } from '../support/network-namespaces.js';
import { collect, dictionary, mixedRequests, runRequests } from '../support/run-requests.js';

const reason = whyNoNamespaces();
const requests = mixedRequests(12, 4096);
/** A model whose tokens go to eight experts each. */
const topEight = join(tmpdir(), `megascale-hosts-${String(process.pid)}`);
const preSharedKey = 'a key that only these workers know';

const links = [
  { delayMs: 1, megabitsPerSecond: 200 },
  { delayMs: 0.1, megabitsPerSecond: 5000 },
];

/** Workers on hosts of their own, joined by a network: one attention host and two expert hosts. */
describe.skipIf(reason !== undefined)('three hosts', () => {
  let network: NamespaceHosts;
  let expected: (readonly number[])[];

  beforeAll(async () => {
    network = new NamespaceHosts(3);
    expected = await tokensOf({ colocated: true });
    await makeRandomCheckpoint(topEight, {
      family: 'qwen3-moe',
      hidden: 256,
      layers: 2,
      experts: 16,
      topK: 8,
      expertWidth: 32,
      heads: 4,
      kvHeads: 2,
      headSize: 32,
      vocab: 4096,
      positions: 512,
      seed: 3,
    });
  }, 60_000);
  afterAll(() => {
    network.remove();
    rmSync(topEight, { recursive: true, force: true });
  });

  const hostOptions = (family: 'ipv4' | 'ipv6' = 'ipv4'): LlmOptions => ({
    attentionWorkers: 1,
    expertWorkers: 2,
    threads: 1,
    hosts: network.hosts.map(({ name, launch, ...addresses }, index) => ({
      name,
      address: addresses[family],
      launch: [...launch],
      attention: index === 0 ? [0] : [],
      expert: index === 0 ? [] : [index - 1],
    })),
  });

  describe.each([
    ['tcp', { preSharedKey }],
    ['fabric', { provider: 'tcp;ofi_rxm' }],
  ])('over %s', (transport, options) => {
    const common = { transport, network: options };
    const cases = links.flatMap((link) =>
      (['ipv4', 'ipv6'] as const).map((family) => ({ ...link, family })),
    );
    it.for(cases)(
      'give the same tokens over $delayMs ms and $megabitsPerSecond Mbit/s, $family',
      { timeout: 120_000 },
      async ({ family, ...link }, { skip }) => {
        const absent = await whyAbsent(transport);
        if (absent !== undefined) skip(absent);
        const delayed = network.shape(link);
        const tokens = await tokensOf({
          ...hostOptions(family),
          ...common,
          // Where the kernel cannot delay packets, the receivers do.
          ...(delayed ? {} : { emulatedLink: { latencyUs: link.delayMs * 1000 } }),
        });
        expect(tokens).toEqual(expected);
      },
    );

    it(
      'give the same tokens with replicas of every expert',
      { timeout: 120_000 },
      async ({ skip }) => {
        const absent = await whyAbsent(transport);
        if (absent !== undefined) skip(absent);
        const tokens = await tokensOf({ ...hostOptions(), ...common, expertReplicas: 2 });
        expect(tokens).toEqual(expected);
      },
    );

    it(
      'give the tokens of one machine where the expert hosts sum, and send fewer bytes back',
      { timeout: 120_000 },
      async ({ skip }) => {
        const absent = await whyAbsent(transport);
        if (absent !== undefined) skip(absent);
        const summed = { expertWorkers: 2, combine: 'expert' } as const;
        const before = network.bytesSent();
        await tokensOf({ ...hostOptions(), ...common }, topEight);
        const between = network.bytesSent();
        const tokens = await tokensOf({ ...hostOptions(), ...common, ...summed }, topEight);
        const after = network.bytesSent();
        expect(tokens).toEqual(await tokensOf(summed, topEight));
        const bytesBack = (from: number[], to: number[]): number =>
          to.slice(1).reduce((sum, bytes, host) => sum + bytes - (from[host + 1] ?? 0), 0);
        // Eight rows a token become two; what else the expert hosts say stays.
        expect(bytesBack(between, after)).toBeLessThan(0.75 * bytesBack(before, between));
      },
    );

    it.for(['attention', 'expert'] as const)(
      'end what runs with an error when the worker of an %s host is killed, and serve again',
      { timeout: 120_000 },
      async (role, { skip }) => {
        const absent = await whyAbsent(transport);
        if (absent !== undefined) skip(absent);
        const llm = await LLM.load(dictionary, { ...hostOptions(), ...common });
        try {
          await killWorker(llm, role);
          const [again] = await runRequests(llm, requests.slice(0, 1));
          expect(again?.tokens).toEqual(expected[0]);
        } finally {
          await llm.close();
        }
      },
    );
  });
});

it('says why hosts cannot be tested here', () => {
  if (reason !== undefined) console.warn(`hosts are not tested: ${reason}`);
  expect(reason ?? 'tested').toMatch(/\w/);
});

/**
 * Kills the first worker of a pool while requests run, and resolves when the engine is ready again.
 */
async function killWorker(llm: LLM, role: 'attention' | 'expert'): Promise<void> {
  const victim = (await llm.stats()).workers.find((worker) => worker.role === role);
  const options = { maxTokens: 300, ignoreEos: true, temperature: 0 };
  const outcomes = Promise.allSettled(requests.map(({ prompt }) => collect(llm, prompt, options)));
  while ((await llm.stats()).outputTokensTotal < 16) await delay(5);
  process.kill(victim?.pid ?? 0, 'SIGKILL');
  const reasons = (await outcomes).flatMap((outcome) =>
    outcome.status === 'rejected' ? [outcome.reason as unknown] : [],
  );
  expect(reasons.length).toBeGreaterThan(0);
  for (const reason of reasons) expect(reason).toMatchObject({ code: 'ERR_PEER_CLOSED' });
  while ((await llm.stats()).state !== 'ready') await delay(20);
}

async function whyAbsent(transport: string): Promise<string | undefined> {
  const probe = await (await loadTransport(transport)).probe();
  return probe.available ? undefined : probe.reason;
}

async function tokensOf(
  options: LlmOptions,
  directory = dictionary,
): Promise<(readonly number[])[]> {
  const llm = await LLM.load(directory, options);
  try {
    return (await runRequests(llm, requests)).map(({ tokens }) => tokens);
  } finally {
    await llm.close();
  }
}
