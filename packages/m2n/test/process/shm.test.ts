import {
  participantProcesses,
  participantThreads,
  transportContract,
} from '@megascale/core/testing';
import { afterAll, beforeAll, describe, expect, vi } from 'vitest';
import { shm } from '../../src/transports/shm.js';
import { namedSegments } from '../support/shared-memory-files.js';

const startFile = new URL('../support/participant.mjs', import.meta.url);

const absent = async (): Promise<string | undefined> => {
  const probe = await shm.probe();
  return probe.available ? undefined : probe.reason;
};

describe('shm', () => {
  let before: readonly string[] = [];
  beforeAll(() => {
    before = namedSegments();
  });
  // Others may own some for a while.
  afterAll(async () => {
    const left = () => namedSegments().filter((name) => !before.includes(name));
    await vi.waitFor(() => {
      expect(left(), 'names left in /dev/shm').toEqual([]);
    }, 20_000);
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
