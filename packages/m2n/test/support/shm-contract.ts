import { transportContract, type Participant } from '@megascale/core/testing';
import { afterAll, beforeAll, describe, expect, vi } from 'vitest';
import { shm } from '../../src/transports/shm.js';
import { namedSegments } from './shared-memory-files.js';

/** The contract over shared memory; no name is left in /dev/shm afterwards. */
export function shmContract(name: string, start: () => Participant): void {
  describe('shm', () => {
    let before: readonly string[] = [];
    beforeAll(() => {
      before = namedSegments();
    });
    // Other test files own some for a while.
    afterAll(async () => {
      const left = () => namedSegments().filter((name) => !before.includes(name));
      await vi.waitFor(() => {
        expect(left(), 'names left in /dev/shm').toEqual([]);
      }, 20_000);
    });
    transportContract({
      name,
      transport: 'shm',
      start,
      absent: async () => {
        const probe = await shm.probe();
        return probe.available ? undefined : probe.reason;
      },
    });
  });
}
