import { expect, it } from 'vitest';
import { BusyTimes } from '../../../src/trace/busy-times.js';
import { TraceWriter } from '../../../src/trace/trace-writer.js';
import { workerSpan } from '../../../src/trace/worker-span.js';

it('puts spans on a clock that starts with the first of them, and names processes', () => {
  const writer = new TraceWriter();
  writer.process(7, 'attention worker 0', { clockErrorUs: 2 });
  writer.span({ name: 'late', pid: 7, startUs: 130, endUs: 150, args: {} });
  writer.span({ name: 'early', pid: 8, lane: 2, startUs: 100, endUs: 101, args: { layer: 1 } });
  expect(writer.trace()).toEqual({
    displayTimeUnit: 'ms',
    traceEvents: [
      {
        name: 'process_name',
        ph: 'M',
        pid: 7,
        tid: 1,
        ts: 0,
        args: { name: 'attention worker 0', clockErrorUs: 2 },
      },
      { name: 'late', ph: 'X', pid: 7, tid: 1, ts: 30, dur: 20, args: {} },
      { name: 'early', ph: 'X', pid: 8, tid: 2, ts: 0, dur: 1, args: { layer: 1 } },
    ],
  });
});

it('names a wait by what took most of it', () => {
  const experts = new BusyTimes([{ startUs: 0, endUs: 6 }]);
  const wait = { kind: 'wait', startUs: 0, endUs: 10, layer: 2, microBatch: -1, size: 3 };
  const attention = { role: 'attention', pid: 1 } as const;
  expect(workerSpan(attention, wait, experts)).toMatchObject({
    name: 'wait for experts',
    args: { layer: 2, tokens: 3 },
  });
  expect(workerSpan(attention, { ...wait, endUs: 13 }, experts).name).toBe('wait for link');
  expect(workerSpan({ role: 'expert', pid: 2 }, wait, experts)).toMatchObject({
    name: 'wait for rows',
    args: { layer: 2, rows: 3 },
  });
});
