import { plugin } from '@megascale/m2n';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
// Workers are processes started from the build.
import { LLM, loadTransport, type LlmOptions } from '../dist/index.js';
import { NamespaceHosts, whyNoNamespaces } from './network-namespaces.js';
import { dictionary, mixedRequests, runRequests } from './run-requests.js';

const reason = whyNoNamespaces();
const requests = mixedRequests(12, 4096);
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
  }, 60_000);
  afterAll(() => {
    network.remove();
  });

  const hostOptions = (): LlmOptions => ({
    attentionWorkers: 1,
    expertWorkers: 2,
    threads: 1,
    hosts: network.hosts.map(({ launch, ...host }, index) => ({
      ...host,
      launch: [...launch],
      attention: index === 0 ? [0] : [],
      expert: index === 0 ? [] : [index - 1],
    })),
  });

  describe.each([
    ['tcp', { preSharedKey }],
    ['fabric', { provider: 'tcp;ofi_rxm' }],
  ])('over %s', (transport, options) => {
    it.for(links)(
      'give the same tokens over $delayMs ms and $megabitsPerSecond Mbit/s',
      { timeout: 120_000 },
      async (link, { skip }) => {
        const absent = await whyAbsent(transport);
        if (absent !== undefined) skip(absent);
        const delayed = network.shape(link);
        const tokens = await tokensOf({
          ...hostOptions(),
          transport,
          network: options,
          // Where the kernel cannot delay packets, the receivers do.
          ...(delayed ? {} : { emulatedLink: { latencyUs: link.delayMs * 1000 } }),
        });
        expect(tokens).toEqual(expected);
      },
    );
  });
});

it('says why hosts cannot be tested here', () => {
  if (reason !== undefined) console.warn(`hosts are not tested: ${reason}`);
  expect(reason ?? 'tested').toMatch(/\w/);
});

async function whyAbsent(transport: string): Promise<string | undefined> {
  if (!(plugin.transports ?? []).some(({ name }) => name === transport))
    return 'it is not in this build';
  const probe = await (await loadTransport(transport)).probe();
  return probe.available ? undefined : probe.reason;
}

async function tokensOf(options: LlmOptions): Promise<(readonly number[])[]> {
  const llm = await LLM.load(dictionary, options);
  try {
    return (await runRequests(llm, requests)).map(({ tokens }) => tokens);
  } finally {
    await llm.close();
  }
}
