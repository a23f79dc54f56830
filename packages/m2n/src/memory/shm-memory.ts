import type { MemoryHints } from '@megascale/core';
import { binding } from './binding.js';
import type { DoorbellWait, OwnedMemory, PeerMemory, SharedMemory } from './shared-memory.js';
import type { Location } from './location.js';
import { segmentWord } from '../protocol/wire-format.js';

const { doorbellCount, doorbellParked } = segmentWord;

/** Processes or threads of one Linux machine over nameless shared memory and futexes. */
export const shmMemory = {
  name: 'shm',

  create: (byteLength: number) => create(byteLength, false, -1),

  // Async, so that what the native code throws becomes a rejection.
  async open(location: Location, byteLength: number): Promise<PeerMemory> {
    const processId = integerAt(location, 'processId', 1);
    const threadId = integerAt(location, 'threadId', 1);
    const startTicks = integerAt(location, 'startTicks', 0);
    const native = binding();
    const buffer = native.openSegment(processId, integerAt(location, 'fd', 0), byteLength);
    return { buffer, isAlive: () => native.isAlive(processId, threadId, startTicks) };
  },

  waitForRing(words: Int32Array, { seen, spinUs, timeoutUs, spinYields }: DoorbellWait) {
    const native = binding();
    native.waitForRing(words, doorbellCount, doorbellParked, seen, spinUs, timeoutUs, spinYields);
  },

  wake(words: Int32Array) {
    binding().wake(words, doorbellCount);
  },
} satisfies SharedMemory;

/** The same, its own segment made as wished where the system grants that. */
export function shmMemoryOf({ hugePages = false, numaNode = -1 }: MemoryHints = {}) {
  return {
    ...shmMemory,
    create: (byteLength: number) => create(byteLength, hugePages, numaNode),
  } satisfies SharedMemory;
}

function create(byteLength: number, hugePages: boolean, numaNode: number): OwnedMemory {
  const { buffer, fd } = binding().createSegment(byteLength, hugePages, numaNode);
  let listed = true;
  return {
    buffer,
    location: { ...binding().currentThread(), fd },
    unlist: () => {
      if (listed) binding().closeDescriptor(fd);
      listed = false;
    },
  };
}

function integerAt(location: Location, field: string, min: number): number {
  const value = location[field];
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min) return value;
  throw new Error(`its address has no valid ${field}`);
}
