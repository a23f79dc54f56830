import { describe, expect, it } from 'vitest';
import { loadBackend, loadPolicy, loadTransport } from '../../../src/plugins/plugins.js';

describe('plug-ins by name', () => {
  it('finds the known ones in their packages', async () => {
    expect((await loadBackend('cpu')).name).toBe('cpu');
    expect((await loadBackend('reference')).name).toBe('reference');
    expect((await loadTransport('shm')).name).toBe('shm');
    expect((await loadPolicy('fcfs')).name).toBe('fcfs');
  });

  it('takes any other name as a package or a file that exports a plug-in', async () => {
    const file = new URL('../../../../../examples/one-at-a-time.mjs', import.meta.url).href;
    expect((await loadPolicy(file)).name).toBe('one-at-a-time');
    await expect(loadTransport(file)).rejects.toThrow(/Unknown transport/);
  });

  it.each([
    ['backend', loadBackend],
    ['transport', loadTransport],
    ['policy', loadPolicy],
  ] as const)('names the known ones when a %s is unknown', async (kind, load) => {
    await expect(load('no-such-thing')).rejects.toMatchObject({ code: 'ERR_CONFIG_FIELD' });
    await expect(load('no-such-thing')).rejects.toThrow(`Unknown ${kind} "no-such-thing". Known: `);
  });
});
