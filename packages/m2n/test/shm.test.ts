import { readdirSync } from 'node:fs';
import {
  participantProcesses,
  participantThreads,
  transportContract,
} from '@megascale/core/testing';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { shm } from '../src/shm.js';

const startFile = new URL('./participant.mjs', import.meta.url);

const absent = async (): Promise<string | undefined> => {
  const probe = await shm.probe();
  return probe.available ? undefined : probe.reason;
};

describe('shm', () => {
  let before: readonly string[] = [];
  beforeAll(() => {
    before = sharedFiles();
  });
  afterAll(() => {
    expect(sharedFiles(), 'names left in /dev/shm').toEqual(before);
  });

  const common = { transport: 'shm', absent };
  transportContract({
    name: 'shm between threads',
    start: participantThreads(startFile),
    ...common,
  });
  transportContract({
    name: 'shm between processes',
    start: participantProcesses(startFile),
    ...common,
  });
});

/** Without those of libfabric's provider of the same name, which other tests use meanwhile: 'pid:uid:number'. */
function sharedFiles(): string[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/dev/shm').filter((name) => !/^\d+:\d+:\d+$/.test(name));
}
