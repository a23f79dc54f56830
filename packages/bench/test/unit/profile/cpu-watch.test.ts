import { describe, expect, it } from 'vitest';
import { machineTicks, processTicks } from '../../../src/profile/cpu-watch.js';

describe('processor times', () => {
  it('of the machine count what its host gave to others as busy', () => {
    const stat = 'cpu  100 5 50 800 20 1 2 30 0 0\ncpu0 50 2 25 400 10 0 1 15 0 0\n';
    expect(machineTicks(stat)).toEqual({ busy: 188, idle: 820 });
  });

  it('of a process are found behind a name with spaces and parentheses', () => {
    const stat = '42 (node (a) b) S 1 42 42 0 -1 4194560 1 0 0 0 123 45 0 0 20 0 11 0';
    expect(processTicks(stat)).toBe(168);
  });
});
