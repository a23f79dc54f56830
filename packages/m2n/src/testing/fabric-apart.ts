import type { TransportFactory } from '@megascale/core';
import { FabricMemory } from '../fabric-memory.js';
import { fabric } from '../fabric.js';
import { sharedMemoryTransport } from '../transport.js';

/** `fabric` as it sends large messages to providers that keep no order: every part by itself, and counted. */
export const fabricApart: TransportFactory = sharedMemoryTransport(
  'fabric apart',
  (context) => new FabricMemory(context, true),
  () => fabric.probe(),
);
