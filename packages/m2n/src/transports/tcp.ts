import type { TransportFactory } from '@megascale/core';
import { tcpBinding } from '../memory/tcp-binding.js';
import { TcpMemory } from '../memory/tcp-memory.js';
import { sharedMemoryTransport } from './transport.js';

/** Between hosts, over any network: one connection per pair of ranks. */
export const tcp: TransportFactory = sharedMemoryTransport(
  'tcp',
  (context) => new TcpMemory(context),
  () => Promise.resolve(probe()),
);

function probe(): Awaited<ReturnType<TransportFactory['probe']>> {
  if (process.platform !== 'linux') {
    return { available: false, reason: `tcp needs Linux, this is ${process.platform}` };
  }
  try {
    tcpBinding();
    return { available: true };
  } catch (error) {
    return { available: false, reason: error instanceof Error ? error.message : String(error) };
  }
}
