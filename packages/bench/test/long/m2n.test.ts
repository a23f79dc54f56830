import { systemClock } from '@megascale/core';
import { describe, expect, it } from 'vitest';
// Its ranks are processes started from the build.
import { suite } from '../../dist/index.js';

const request = {
  transport: 'shm',
  senders: 1,
  receivers: 2,
  bytes: [2048],
  skew: false,
  bothDirections: true,
  rounds: 1,
  effort: 0.05,
  baselines: ['floor', 'unix'],
  clock: systemClock,
};

interface Document {
  readonly latencyUs: { readonly p50: number };
  readonly gigabytesPerSecond: number;
  readonly baselines: Readonly<Record<string, { readonly latencyUs: { readonly p50: number } }>>;
  readonly ratios: Readonly<Record<string, { readonly latencyP50: number }>>;
}

describe.runIf(process.platform === 'linux')('bench m2n', () => {
  it('measures a transport beside the floor and sockets', async () => {
    const { document, text } = await suite.m2n(request);
    const { latencyUs, gigabytesPerSecond, baselines, ratios } = document as Document;
    expect(latencyUs.p50).toBeGreaterThan(0);
    expect(gigabytesPerSecond).toBeGreaterThan(0);
    for (const name of ['floor', 'unix']) {
      const other = baselines[name]?.latencyUs.p50 ?? Number.NaN;
      expect(other).toBeGreaterThan(0);
      expect(ratios[name]?.latencyP50).toBeCloseTo(latencyUs.p50 / other);
    }
    expect(text).toContain('2 KiB from each of 1 to each of 2');
  }, 300_000);

  it.each([
    [{ baselines: ['smoke signals'] }, 'no baseline smoke signals'],
    [{ skew: true }, 'give --baselines none'],
    [{ bytes: [100] }, 'multiple of 64'],
    [{ senders: 9 }, 'from 1 to 8'],
    [{ transport: 'pigeon', baselines: [] }, 'pigeon'],
  ])('refuses %j', async (change, message) => {
    await expect(suite.m2n({ ...request, ...change })).rejects.toThrow(message);
  });
});
