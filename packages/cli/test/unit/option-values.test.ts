import { describe, expect, it } from 'vitest';
import { optionNamed } from '../../src/options/all-options.js';
import { readValue } from '../../src/options/read-value.js';

const read = (name: string, given: unknown) => readValue(optionNamed(name), given);

describe('numbers', () => {
  it.each([
    ['maxModelLen', '4096', 4096],
    ['maxModelLen', '32K', 32_768],
    ['maxModelLen', '32k', 32_000],
    ['maxModelLen', '1.5M', 1.5 * 2 ** 20],
    ['kvMemoryBytes', '2GiB', 2 ** 31],
    ['kvMemoryBytes', '2G', 2 ** 31],
    ['kvMemoryBytes', ' 512 MiB ', 2 ** 29],
    ['kvMemoryBytes', '2GB', 2e9],
    ['kvMemoryBytes', '100B', 100],
    ['peerTimeoutMs', '1.5s', 1500],
    ['peerTimeoutMs', '2min', 120_000],
    ['spinUs', '2ms', 2000],
    ['spinUs', '0', 0],
    ['tpotTargetMs', '0.5', 0.5],
    ['microBatches', '3', 3],
    ['microBatches', 'auto', 'auto'],
    ['port', 0, 0],
  ] as const)('%s takes %j', (name, given, value) => {
    expect(read(name, given)).toBe(value);
  });

  it.each([
    ['maxModelLen', '32KiB', 'a whole number of at least 1 (tokens, or as 4K)'],
    ['maxModelLen', '0', 'at least 1'],
    ['maxNumSeqs', '1K', 'a whole number of at least 1'],
    ['kvMemoryBytes', '2 gigs', 'bytes, or as 512MiB, 2GiB'],
    ['kvPageSize', '24', 'a multiple of 16'],
    ['attentionWorkers', '65', 'from 1 to 64'],
    ['attentionWorkers', '', 'from 1 to 64'],
    ['peerTimeoutMs', '1d', 'ms, or as 1.5s, 2min'],
    ['tpotTargetMs', '0', 'a number above 0'],
    ['microBatches', '9', 'a whole number from 1 to 8 or auto'],
    ['logLevel', 'loud', 'one of trace, debug'],
    ['colocated', 'yes', 'true or false'],
    ['apiKey', '', 'some text'],
  ] as const)('%s refuses %j', (name, given, message) => {
    expect(() => read(name, given)).toThrow(message);
  });
});

describe('options with fields', () => {
  it.each([
    ['emulatedLink', 'latencyUs=100', { latencyUs: 100 }],
    [
      'emulatedLink',
      'latencyUs=0.5,jitterUs=10,gigabitsPerSecond=25,seed=-3',
      { latencyUs: 0.5, jitterUs: 10, gigabitsPerSecond: 25, seed: -3 },
    ],
    [
      'emulatedLink',
      ' gigabitsPerSecond = 1 , latencyUs = 1ms',
      { latencyUs: 1000, gigabitsPerSecond: 1 },
    ],
    ['emulatedLink', '{"latencyUs": 5}', { latencyUs: 5 }],
    ['emulatedLink', { latencyUs: '5us' }, { latencyUs: 5 }],
    ['rebalance', 'intervalMs=30s', { intervalMs: 30_000 }],
    [
      'rebalance',
      'margin=0.1, moveBytesMax=0.5MiB ,spareExperts=2,halfLifeMs=1500',
      { margin: 0.1, moveBytesMax: 524_288, spareExperts: 2, halfLifeMs: 1500 },
    ],
    ['gather', 'layer', { type: 'layer' }],
    ['gather', 'window=2ms', { type: 'window', windowUs: 2000 }],
    ['gather', { type: 'window', windowUs: 5 }, { type: 'window', windowUs: 5 }],
    ['backendSettings', 'attendUs=500,expertUs=0.5', { attendUs: 500, expertUs: 0.5 }],
    ['hosts', '[{"name":"a","address":"::1"}]', [{ name: 'a', address: '::1' }]],
  ])('%s takes %j', (name, given, value) => {
    expect(read(name, given)).toEqual(value);
  });

  it.each([
    ['emulatedLink', '', 'latencyUs is missing'],
    ['emulatedLink', '100', "'100' is none of latencyUs"],
    ['emulatedLink', 'latencyUs', 'with a value'],
    ['emulatedLink', 'latencyUs=1=2', "'latencyUs=1=2'"],
    ['emulatedLink', 'latency=1', "'latency=1'"],
    ['emulatedLink', 'constructor=1', "'constructor=1'"],
    ['emulatedLink', 'jitterUs=1', 'latencyUs is missing'],
    ['emulatedLink', 'latencyUs=1,latencyUs=2', 'twice'],
    ['emulatedLink', 'latencyUs=-1', 'latencyUs: expected a number from 0'],
    ['emulatedLink', 'latencyUs=', 'latencyUs: expected a number'],
    ['emulatedLink', 'latencyUs=1,gigabitsPerSecond=0', 'gigabitsPerSecond: expected a number'],
    ['emulatedLink', 'latencyUs=1,seed=0.5', 'seed: expected a whole number'],
    ['emulatedLink', '{"latencyUs": 1', 'not JSON'],
    ['emulatedLink', { latencyUs: 1, gbps: 2 }, "'gbps' is none of latencyUs, jitterUs"],
    ['rebalance', '30', "'30' is none of intervalMs"],
    ['rebalance', 'spareExperts=1,spareExperts=2', 'twice'],
    ['rebalance', 'margin=2', 'margin: expected a number from 0 to 1'],
    ['gather', 'sometimes', 'lockstep or layer or window=µs'],
    ['backendSettings', 'attendUs=soon', 'attendUs: expected a number'],
    ['hosts', '[{"name":"a","address":"nowhere"}]', '0.address: must be an IPv4'],
    ['hosts', '/nowhere', 'Cannot read /nowhere'],
    ['network', { preSharedKey: 'short' }, 'preSharedKey: must have at least 16 bytes'],
  ])('%s refuses %j and says why', (name, given, why) => {
    expect(() => read(name, given)).toThrow(why);
  });
});
