import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MegascaleError } from '@megascale/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkHosts, hostOf, resolveNetwork } from '../../../src/config/hosts.js';
import { parseOptions } from '../../../src/config/options.js';
import { shareCores } from '../../../src/config/share-cores.js';

const pools = { attentionWorkers: 1, expertWorkers: 2, colocated: false };
const host = (name: string, attention: number[], expert: number[]) => ({
  name,
  address: '10.0.0.1',
  attention,
  expert,
});

describe('checkHosts', () => {
  const check = (...hosts: ReturnType<typeof host>[]) => {
    checkHosts(hosts, pools, 'tcp');
  };

  it('takes every worker on one host, and no hosts at all', () => {
    expect(() => {
      check(host('a', [0], []), host('b', [], [0, 1]));
    }).not.toThrow();
    expect(() => {
      check();
    }).not.toThrow();
  });

  it.each([
    ['a worker on no host', [host('a', [0], [0])], 'expert rank 1 is on 0 hosts'],
    ['a worker on two', [host('a', [0], [0, 1]), host('b', [0], [])], 'attention rank 0 is on 2'],
    ['a worker there is not', [host('a', [0, 1], [0, 1])], 'no attention rank 1'],
    ['twins', [host('a', [0], [0]), host('a', [], [1])], 'two hosts are named a'],
  ])('refuses %s', (_, hosts, message) => {
    expect(() => {
      check(...hosts);
    }).toThrow(
      expect.objectContaining({
        code: 'ERR_CONFIG_FIELD',
        message: expect.stringContaining(message) as string,
      }) as Error,
    );
  });

  it('refuses shm between hosts', () => {
    const hosts = [host('a', [0], []), host('b', [], [0, 1])];
    expect(() => {
      checkHosts(hosts, pools, 'shm');
    }).toThrow(/tcp or fabric/);
  });
});

it('finds the host of a worker', () => {
  const hosts = [host('a', [0], []), host('b', [], [0, 1])];
  expect(hostOf(hosts, 'expert', 1)?.name).toBe('b');
  expect(hostOf([], 'expert', 1)).toBeUndefined();
});

it.each([
  [{ hosts: [{ name: 'a', address: 'nowhere' }] }, 'hosts.0.address'],
  [{ hosts: [{ name: 'a', address: '::1', launch: [] }] }, 'hosts.0.launch'],
  [{ hosts: [{ name: 'a', address: '::1', user: 'me' }] }, 'hosts.0'],
  [{ network: { preSharedKey: 'short' } }, 'network.preSharedKey'],
  [{ network: { trafficClass: 256 } }, 'network.trafficClass'],
])('refuses %j and names the field', (options, path) => {
  expect(() => parseOptions(options as never)).toThrow(path);
});

it.each([
  { network: { preSharedKey: 'short secret' } },
  { network: { preSharedKey: 'short secret', unknown: 1 } },
  { network: { preSharedKey: 'a secret of the right length', busyPollUs: -1 } },
  { unknown: 1, network: { preSharedKey: 'a secret of the right length' } },
])('keeps keys out of what it says about %j', (options) => {
  try {
    parseOptions(options);
    expect.unreachable();
  } catch (error) {
    const { message, details } = error as MegascaleError;
    expect(message).toMatch(/network|unknown/);
    expect(message + JSON.stringify(details)).not.toContain('secret');
  }
});

it('divides the cores of each host by its own workers, and lets the pools work at the same time', () => {
  const options = parseOptions({
    expertWorkers: 2,
    hosts: [
      { name: 'a', address: '10.0.0.1', attention: [0] },
      { name: 'b', address: '10.0.0.2', expert: [0, 1] },
    ],
  });
  expect(shareCores(options, 8)).toEqual({
    attentionThreads: 8,
    expertThreads: 4,
    spinUs: 50,
    bindThreads: false,
    gather: { type: 'lockstep' },
  });
});

describe('the file of the pre-shared key', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'megascale-key-'));
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  const keyed = (text: string) => {
    const preSharedKeyFile = join(folder, 'key');
    writeFileSync(preSharedKeyFile, text);
    return { preSharedKeyFile, trafficClass: 104 };
  };

  it('is read, without the line end', () => {
    const network = resolveNetwork(keyed('sixteen bytes, or some more\n'));
    expect(network).toEqual({ preSharedKey: 'sixteen bytes, or some more', trafficClass: 104 });
  });

  it('gives way to a key', () => {
    const preSharedKey = 'the key of the environment';
    expect(resolveNetwork({ ...keyed('x'), preSharedKey }).preSharedKey).toBe(preSharedKey);
  });

  it('is refused when it is not there, or holds too short a key', () => {
    expect(() => resolveNetwork({ preSharedKeyFile: join(folder, 'gone') })).toThrow('gone');
    expect(() => resolveNetwork(keyed('short'))).toThrow('16 bytes');
  });
});
