import { layerIndex, microBatchIndex } from '@megascale/core';
import { describe, expect, it } from 'vitest';
import { binding } from '../src/binding.js';
import { loopback } from '../src/loopback.js';
import { shm } from '../src/shm.js';
import { openPorts, smallOptions } from './one-thread.js';

const warmUpSteps = 5000;
const countedSteps = 500;
/**
 * The engine boxes each clock reading that passes from one function to another in 16 bytes, four in
 * all; an object or array per call would add more than is left to this limit.
 */
const bytesPerRoundMax = 96;

const transports = process.platform === 'linux' ? [loopback, shm] : [loopback];

describe.each(transports)('open ports of $name', (transport) => {
  it('allocate nothing from dispatch to release', async () => {
    const { attention, expert } = await openPorts(transport, smallOptions);
    const [sender] = attention;
    const [receiver] = expert;
    if (sender === undefined || receiver === undefined) throw new Error('Expected two ports.');
    const microBatches = [microBatchIndex(0), microBatchIndex(1)];
    const layers = [layerIndex(0), layerIndex(1)];
    const runStep = (): void => {
      sender.beginStep(microBatches);
      for (const layer of layers) {
        for (const microBatch of microBatches) {
          const ticket = sender.dispatch(layer, microBatch, 3);
          const input = receiver.receive();
          if (input !== undefined) receiver.reply(input);
          sender.combine(ticket);
          sender.release(ticket);
        }
      }
    };
    const native = transport === shm ? binding() : undefined;
    const allocated = native?.allocationCount();
    for (let step = 0; step < warmUpSteps; step++) runStep();

    // Compilers and the collector disturb single measurements; what is allocated shows in all of
    // them.
    const measured = Array.from({ length: 10 }, () => {
      const before = process.memoryUsage().heapUsed;
      for (let step = 0; step < countedSteps; step++) runStep();
      const bytes = process.memoryUsage().heapUsed - before;
      return bytes / (countedSteps * layers.length * microBatches.length);
    });
    const plausible = measured.filter((bytes) => bytes >= 0);
    expect(plausible.length).toBeGreaterThan(0);
    expect(Math.min(...plausible)).toBeLessThan(bytesPerRoundMax);
    expect(native?.allocationCount(), 'segments made, memory registered').toBe(allocated);
  });
});
