import type { TransportFactory } from '@megascale/core';
import { fabricBinding } from '../memory/fabric-binding.js';
import { FabricMemory } from '../memory/fabric-memory.js';
import { sharedMemoryTransport } from './transport.js';

/**
 * Between hosts over libfabric: writes into registered memory of the peer, by RDMA where there is
 * hardware for it.
 */
export const fabric: TransportFactory = sharedMemoryTransport(
  'fabric',
  (context) => new FabricMemory(context),
  () => Promise.resolve(probe()),
);

function probe(): Awaited<ReturnType<TransportFactory['probe']>> {
  try {
    const reason = fabricBinding().fabricTrouble('');
    return reason === undefined ? { available: true } : { available: false, reason };
  } catch (error) {
    return { available: false, reason: error instanceof Error ? error.message : String(error) };
  }
}
