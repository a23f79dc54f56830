import { expertRank, layerIndex, microBatchIndex } from '@megascale/core';
import { describe, expect, it } from 'vitest';
import { binding } from '../../src/memory/binding.js';
import { fabric } from '../../src/transports/fabric.js';
import { loopback } from '../../src/transports/loopback.js';
import { shm } from '../../src/transports/shm.js';
import { tcp } from '../../src/transports/tcp.js';
import { openPorts, smallOptions } from '../support/one-thread.js';

const warmUpSteps = 5000;
const countedSteps = 500;
/**
 * Node boxes each clock reading that passes from one function to another in 16 bytes, up to five
 * for a pair of ranks; an object or array per call would add more than is left to this limit.
 */
const bytesPerPairMax = 96;

const transports = process.platform === 'linux' ? [loopback, shm] : [loopback];

describe.each(transports)('open ports of $name', (transport) => {
  const both = [expertRank(0), expertRank(1)];
  it.each([
    ['', {}],
    [' where experts have replicas', { expertWorkerCount: 2, placement: [[both, both]] }],
    [' where expert ranks sum', { combine: 'expert' as const }],
  ])('allocate nothing from dispatch to release%s', async (_, options) => {
    const { attention, expert } = await openPorts(transport, { ...smallOptions, ...options });
    const [sender] = attention;
    if (sender === undefined) throw new Error('Expected a port.');
    // Experts 0 and 1, so that every expert rank gets rows.
    for (const { expertIds } of sender.slots) expertIds.bytes?.set([0, 0, 0, 0, 1]);
    const microBatches = [microBatchIndex(0), microBatchIndex(1)];
    const layers = [layerIndex(0), layerIndex(1)];
    const runStep = (): void => {
      sender.beginStep(microBatches);
      for (const layer of layers) {
        for (const microBatch of microBatches) {
          const ticket = sender.dispatch(layer, microBatch, 3);
          for (const receiver of expert) {
            const input = receiver.receive();
            if (input !== undefined) receiver.reply(input);
          }
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
    expect(Math.min(...plausible)).toBeLessThan(bytesPerPairMax * expert.length);
    expect(native?.allocationCount(), 'segments made, memory registered').toBe(allocated);
  });
});

const networks = [
  { name: 'tcp', transport: tcp, network: {} },
  { name: 'tcp with a key', transport: tcp, network: { preSharedKey: 'sixteen bytes and more' } },
  { name: 'fabric', transport: fabric, network: { provider: 'shm' } },
];
const messages = 1000;

describe.each(networks)('open ports over $name', ({ transport, network }) => {
  it('map no memory, register none and keep JavaScript\u2019s heap as it is, message by message', async (test) => {
    const probe = await transport.probe();
    if (!probe.available) return test.skip(probe.reason);
    const { attention, expert } = await openPorts(transport, { ...smallOptions, network });
    const [sender] = attention;
    const [receiver] = expert;
    if (sender === undefined || receiver === undefined) throw new Error('Expected ports.');
    for (const { expertIds } of sender.slots) expertIds.bytes?.set([0, 0, 0, 0, 1]);
    const [layers, microBatches] = [[0, 1].map(layerIndex), [microBatchIndex(0)]];
    const runStep = (): void => {
      sender.beginStep(microBatches);
      for (const layer of layers) {
        const ticket = sender.dispatch(layer, microBatches[0] ?? microBatchIndex(0), 3);
        const input = receiver.receive();
        if (input !== undefined) receiver.reply(input);
        sender.combine(ticket);
        sender.release(ticket);
      }
    };
    for (let step = 0; step < messages; step++) runStep();
    const allocated = binding().allocationCount();
    expect(allocated).toBeGreaterThan(0);
    const measured = Array.from({ length: 5 }, () => {
      const before = process.memoryUsage().heapUsed;
      for (let step = 0; step < messages / layers.length; step++) runStep();
      return (process.memoryUsage().heapUsed - before) / messages;
    });
    expect(binding().allocationCount(), 'memory mapped or registered').toBe(allocated);
    const plausible = measured.filter((bytes) => bytes >= 0);
    // Clock readings, boxed: some more than over shared memory, since waits look at the clock as
    // they turn.
    expect(Math.min(...plausible)).toBeLessThan(16 * bytesPerPairMax);
    for (const port of [...attention, ...expert]) port.close();
  });
});
