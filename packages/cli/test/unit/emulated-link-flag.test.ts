import { describe, expect, it } from 'vitest';
import { emulatedLinkFlag, emulatedLinkText } from '../../src/flags/emulated-link-flag.js';

describe('--emulate-link', () => {
  it.each([
    ['latencyUs=100', { latencyUs: 100 }],
    [
      'latencyUs=0.5,jitterUs=10,gbps=25,seed=-3',
      { latencyUs: 0.5, jitterUs: 10, gigabitsPerSecond: 25, seed: -3 },
    ],
    [' gbps = 1 , latencyUs = 0', { latencyUs: 0, gigabitsPerSecond: 1 }],
  ])('reads %j', (text, link) => {
    expect(emulatedLinkFlag(text)).toEqual(link);
    expect(emulatedLinkFlag(emulatedLinkText(link))).toEqual(link);
  });

  it.each([
    ['', 'none of latencyUs'],
    ['100', "'100'"],
    ['latencyUs', 'with a value'],
    ['latencyUs=1=2', "'latencyUs=1=2'"],
    ['latency=1', "'latency=1'"],
    ['constructor=1', "'constructor=1'"],
    ['jitterUs=1', 'latencyUs is missing'],
    ['latencyUs=1,latencyUs=2', 'twice'],
    ['latencyUs=-1', 'latencyUs: Expected a number from 0'],
    ['latencyUs=', 'latencyUs: Expected a number'],
    ['latencyUs=1,gbps=0', 'gbps: Expected a number'],
    ['latencyUs=1,seed=0.5', 'seed: Expected a whole number'],
  ])('refuses %j and says why', (text, why) => {
    expect(() => emulatedLinkFlag(text)).toThrow(why);
  });
});
