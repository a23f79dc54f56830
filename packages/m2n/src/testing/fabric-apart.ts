import type { TransportFactory } from '@megascale/core';
import { FabricMemory } from '../memory/fabric-memory.js';
import { fabric } from '../transports/fabric.js';
import { sharedMemoryTransport } from '../transports/transport.js';

/**
 * `fabric` as it sends large messages to providers that keep no order: every part by itself, and
 * counted.
 */
export const fabricApart: TransportFactory = sharedMemoryTransport(
  'fabric apart',
  (context) => new FabricMemory(context, true),
  () => fabric.probe(),
);
