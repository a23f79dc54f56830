import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { finishedCli } from '../support/cli-fixture.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'megascale-hosts-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const hosts = [{ name: 'a', address: '10.0.0.1', attention: [0], expert: [0] }];
const key = 'sixteen bytes, or some more';

function written(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function generateOn(path: string, environment = {}) {
  const words = ['generate', 'some/model', '--prompt', 'x', '--transport', 'tcp', '--config', path];
  return finishedCli(words, { readEnvironment: () => environment });
}

describe('hosts and network in a configuration file', () => {
  it('hands on what the file says', async () => {
    const network = { busyPollUs: 50, provider: 'verbs' };
    const { loaded } = await generateOn(written('plain.json', JSON.stringify({ hosts, network })));
    expect(loaded?.deployment).toMatchObject({ transport: 'tcp', hosts, network });
  });

  it("names the key's file from its own folder", async () => {
    const text = JSON.stringify({ hosts, network: { preSharedKeyFile: 'key', trafficClass: 104 } });
    const { loaded } = await generateOn(written('keyed.json', text));
    const network = { preSharedKeyFile: join(folder, 'key'), trafficClass: 104 };
    expect(loaded?.deployment.network).toEqual(network);
  });

  it('prefers the key of the environment', async () => {
    const text = JSON.stringify({ hosts, network: { preSharedKey: 'the key of the file' } });
    const { loaded } = await generateOn(written('both.json', text), { preSharedKey: key });
    expect(loaded?.deployment.network).toEqual({ preSharedKey: key });
  });

  it.each([
    ['no YAML', '{', 'neither YAML nor JSON'],
    ['fields there are not', '{"workers": 2}', 'workers'],
    ['hosts that are no list', '{"hosts": {}}', 'hosts'],
    ['a key that is too short', '{"network": {"preSharedKey": "short"}}', '16 bytes'],
  ])('refuses %s', async (_, text, message) => {
    const run = await generateOn(written('wrong.json', text));
    expect(run.code).toBe(2);
    expect(run.stderr).toContain(message);
    expect(run.loaded).toBeUndefined();
  });

  it('refuses a file that is not there', async () => {
    expect((await generateOn(join(folder, 'none.json'))).stderr).toContain('none.json');
  });
});

describe('--hosts', () => {
  it('takes a file with the list alone, or the list', async () => {
    const list = JSON.stringify(hosts);
    for (const value of [written('list.yaml', list), list]) {
      const run = await finishedCli(['generate', 'some/model', '--prompt', 'x', '--hosts', value]);
      expect(run.loaded?.deployment.hosts).toEqual(hosts);
    }
  });
});

describe('--gather', () => {
  const generate = (policy: string) =>
    finishedCli(['generate', 'some/model', '--prompt', 'x', '--gather', policy]);

  it.each([
    ['lockstep', { type: 'lockstep' }],
    ['layer', { type: 'layer' }],
    ['window=0', { type: 'window', windowUs: 0 }],
    ['window=250', { type: 'window', windowUs: 250 }],
  ])('takes %s', async (policy, expected) => {
    expect((await generate(policy)).loaded?.deployment.gather).toEqual(expected);
  });

  it.each(['window', 'window=', 'window=-1', 'window=1.5', 'window=1=2', 'layers', 'layer=3'])(
    'refuses %s',
    async (policy) => {
      expect(await generate(policy)).toMatchObject({ code: 2, loaded: undefined });
    },
  );
});
