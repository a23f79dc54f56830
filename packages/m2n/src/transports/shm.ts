import type { TransportFactory } from '@megascale/core';
import { binding } from '../memory/binding.js';
import { shmMemoryOf } from '../memory/shm-memory.js';
import { sharedMemoryTransport } from './transport.js';

/** Between processes (or threads) of one Linux machine. */
export const shm: TransportFactory = sharedMemoryTransport(
  'shm',
  ({ options }) => shmMemoryOf(options.memory),
  () => Promise.resolve(probe()),
);

function probe(): Awaited<ReturnType<TransportFactory['probe']>> {
  if (process.platform !== 'linux') {
    return { available: false, reason: `shm needs Linux, this is ${process.platform}` };
  }
  try {
    const { fd } = binding().createSegment(4096, false, -1);
    binding().closeDescriptor(fd);
    return { available: true };
  } catch (error) {
    return { available: false, reason: error instanceof Error ? error.message : String(error) };
  }
}
