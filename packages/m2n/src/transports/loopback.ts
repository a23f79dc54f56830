import type { TransportFactory } from '@megascale/core';
import { loopbackMemory } from '../memory/loopback-memory.js';
import { sharedMemoryTransport } from './transport.js';

/**
 * Between threads of one process. Needs nothing but Node: for tests, and the oracle of the
 * contract.
 */
export const loopback: TransportFactory = sharedMemoryTransport(
  'loopback',
  () => loopbackMemory,
  () => Promise.resolve({ available: true }),
);
