import { expect, it } from 'vitest';
import { peakOf } from '../../../src/measure/process-memory.js';

it('reads the peak where the system tells it', () => {
  expect(peakOf('VmPeak:\t  900 kB\nVmHWM:\t  123 kB\nVmRSS:\t 45 kB\n')).toBe(123 * 1024);
  expect(peakOf('')).toBeNull();
});
