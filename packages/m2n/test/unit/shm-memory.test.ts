import { closeSync, openSync } from 'node:fs';
import { systemClock } from '@megascale/core';
import { describe, expect, it } from 'vitest';
import { binding } from '../../src/memory/binding.js';
import { shmMemory, shmMemoryOf } from '../../src/memory/shm-memory.js';
import { shm } from '../../src/transports/shm.js';
import { segmentWord } from '../../src/protocol/wire-format.js';
import { openPorts, smallOptions } from '../support/one-thread.js';

const byteLength = 8192;

describe.runIf(process.platform === 'linux')('shm memory', () => {
  it('is the same memory for owner and peer, also after the address is withdrawn', async () => {
    const owned = shmMemory.create(byteLength);
    const peer = await shmMemory.open(owned.location, byteLength);
    owned.unlist();
    owned.unlist();
    new Int32Array(owned.buffer)[5] = 42;
    expect(new Int32Array(peer.buffer)[5]).toBe(42);
    expect(peer.isAlive()).toBe(true);
    await expect(shmMemory.open(owned.location, byteLength)).rejects.toThrow();
  });

  it.each([
    {},
    { hugePages: true },
    { numaNode: 0 },
    { numaNode: 1 << 20 },
    { hugePages: true, numaNode: -7 },
  ])('is there whatever is wished: %j', async (wishes) => {
    const bytes = 3_000_001;
    const owned = shmMemoryOf(wishes).create(bytes);
    const peer = await shmMemory.open(owned.location, bytes);
    owned.unlist();
    new Uint8Array(owned.buffer)[bytes - 1] = 42;
    expect(peer.buffer.byteLength).toBe(bytes);
    expect(new Uint8Array(peer.buffer)[bytes - 1]).toBe(42);
  });

  it('has all its pages before they are used', async () => {
    const bytes = 1 << 26;
    const owned = shmMemory.create(bytes);
    const peer = await shmMemory.open(owned.location, bytes);
    owned.unlist();
    const [own, theirs] = [new Uint8Array(owned.buffer), new Uint8Array(peer.buffer)];
    const before = process.resourceUsage().minorPageFault;
    for (let at = 0; at < bytes; at += 4096) own[at] = theirs[at + 1] = 1;
    const faults = process.resourceUsage().minorPageFault - before;
    // Without: two for each of 16,384 pages.
    expect(faults).toBeLessThan(4096);
  });

  it('counts what it makes and maps', async () => {
    const before = binding().allocationCount();
    const owned = shmMemory.create(byteLength);
    await shmMemory.open(owned.location, byteLength);
    owned.unlist();
    expect(binding().allocationCount()).toBe(before + 2);
  });

  it('refuses another size', async () => {
    const owned = shmMemory.create(byteLength);
    await expect(shmMemory.open(owned.location, 2 * byteLength)).rejects.toThrow('8192 bytes');
    owned.unlist();
  });

  it('refuses a file that is no segment: its owner could shrink it under the reader', async () => {
    const file = openSync('/dev/zero', 'r+');
    const owned = shmMemory.create(byteLength);
    await expect(shmMemory.open({ ...owned.location, fd: file }, 0)).rejects.toThrow('not sealed');
    owned.unlist();
    closeSync(file);
  });

  it.each([
    ['processId', 0],
    ['processId', '1; reboot'],
    ['threadId', -1],
    ['startTicks', Number.NaN],
    ['fd', -1],
    ['fd', 1.5],
    ['fd', undefined],
  ])('refuses an address whose %s is %j', async (field, value) => {
    const owned = shmMemory.create(byteLength);
    await expect(shmMemory.open({ ...owned.location, [field]: value }, byteLength)).rejects.toThrow(
      field,
    );
    owned.unlist();
  });

  it('knows that a thread with the same number but another start is another thread', () => {
    const { processId, threadId, startTicks } = binding().currentThread();
    expect(processId).toBe(process.pid);
    expect(binding().isAlive(processId, threadId, startTicks)).toBe(true);
    expect(binding().isAlive(processId, threadId, startTicks + 1)).toBe(false);
    expect(binding().isAlive(processId, 2 ** 22 + 1, startTicks)).toBe(false);
  });

  it('does not sleep when the doorbell rang before', () => {
    const words = new Int32Array(shmMemory.create(byteLength).buffer);
    words[segmentWord.doorbellCount] = 1;
    const beganUs = systemClock.nowUs();
    shmMemory.waitForRing(words, { seen: 0, spinUs: 0, timeoutUs: 60_000_000, spinYields: false });
    shmMemory.waitForRing(words, {
      seen: 0,
      spinUs: 100,
      timeoutUs: 60_000_000,
      spinYields: false,
    });
    expect(systemClock.nowUs() - beganUs).toBeLessThan(50_000_000);
    expect(words[segmentWord.doorbellParked]).toBe(0);
  });

  it('sleeps no longer than it is told', () => {
    const words = new Int32Array(shmMemory.create(byteLength).buffer);
    const beganUs = systemClock.nowUs();
    shmMemory.waitForRing(words, { seen: 0, spinUs: 0, timeoutUs: 20_000, spinYields: false });
    shmMemory.waitForRing(words, {
      seen: 0,
      spinUs: 60_000_000,
      timeoutUs: 20_000,
      spinYields: false,
    });
    shmMemory.waitForRing(words, { seen: 0, spinUs: 0, timeoutUs: 0, spinYields: false });
    expect(systemClock.nowUs() - beganUs).toBeLessThan(50_000_000);
    expect(words[segmentWord.doorbellParked]).toBe(0);
  });

  it('cannot be misused from JavaScript', () => {
    const native = binding();
    const words = new Int32Array(4);
    expect(() => {
      native.wake(words, 4);
    }).toThrow(RangeError);
    expect(() => {
      native.wake(words, -1);
    }).toThrow(RangeError);
    expect(() => {
      native.wake(new Float64Array(4) as unknown as Int32Array, 0);
    }).toThrow(TypeError);
    expect(() => native.createSegment('8' as unknown as number, false, -1)).toThrow(TypeError);
  });

  it('stays readable after its ports closed, and closed ports refuse', async () => {
    const { attention, expert } = await openPorts(shm, smallOptions);
    const bytes = expert[0]?.slots[0]?.answers.bytes;
    for (const port of [...attention, ...expert]) port.close();
    expect(() => expert[0]?.receive()).toThrow('closed');
    expect(bytes?.[0]).toBe(0);
  });
});
