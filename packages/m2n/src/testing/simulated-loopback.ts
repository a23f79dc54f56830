import type { TransportFactory } from '@megascale/core';
import { loopbackMemory } from '../memory/loopback-memory.js';
import type { DoorbellWait, SharedMemory } from '../memory/shared-memory.js';
import { sharedMemoryTransport } from '../transports/transport.js';
import { segmentWord } from '../protocol/wire-format.js';
import type { SimulatedWorld } from './simulated-world.js';

/**
 * The loopback transport on a simulated clock: everything but the sleeping and waking is what
 * ships. Ranks of the world are the attention ranks, then the expert ranks; give the port `world`
 * as its clock.
 */
export function simulatedLoopback(
  world: SimulatedWorld,
  attentionWorkerCount: number,
): TransportFactory {
  /** By segment: its owner's rank in the world. */
  const owners = new Map<ArrayBufferLike, number>();
  const memory: SharedMemory = {
    name: 'simulated',
    // Ports open by the clock on the wall, whatever peerTimeoutMs is.
    openingMsMin: 120_000,
    create: (byteLength) => loopbackMemory.create(byteLength),
    async open(location, byteLength, peer) {
      const opened = await loopbackMemory.open(location, byteLength);
      const first = peer.role === 'attention' ? 0 : attentionWorkerCount;
      owners.set(opened.buffer, first + peer.rank);
      return opened;
    },
    waitForRing(words: Int32Array, { seen, timeoutUs }: DoorbellWait): void {
      if (Atomics.load(words, segmentWord.doorbellCount) !== seen) return;
      Atomics.store(words, segmentWord.doorbellParked, 1);
      world.sleep(timeoutUs);
      Atomics.store(words, segmentWord.doorbellParked, 0);
    },
    wake(words: Int32Array): void {
      const owner = owners.get(words.buffer);
      if (owner !== undefined) world.wake(owner);
    },
  };
  return sharedMemoryTransport(
    'simulated',
    () => memory,
    () => Promise.resolve({ available: true }),
  );
}
