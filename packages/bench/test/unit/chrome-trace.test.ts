import { expect, it } from 'vitest';
import { chromeTrace } from '../../src/measure/chrome-trace.js';
import { record, step, worker } from '../support/made-up-profiles.js';

it('puts steps, half-layers and ops of all workers on one clock', () => {
  const attention = worker('attention', {
    steps: [step({ startUs: 1000, endUs: 1100 })],
    records: [
      record({ op: 'embed', layer: -1, startUs: 1001, endUs: 1002 }),
      record({ op: 'linear', startUs: 1010, endUs: 1020 }),
      record({ op: 'router', startUs: 1021, endUs: 1030 }),
      record({ op: 'combine', startUs: 1060, endUs: 1061 }),
      record({ op: 'rmsNorm', layer: 1, startUs: 1062, endUs: 1063 }),
      record({ op: 'rmsNorm', layer: -1, startUs: 1070, endUs: 1071 }),
      record({ op: 'lmHead', layer: -1, startUs: 1072, endUs: 1090 }),
      record({ op: 'embed', layer: -1, startUs: 1101, endUs: 1102 }),
    ],
  });
  const expert = worker('expert', {
    records: [record({ op: 'experts', microBatch: -1, startUs: 1040, endUs: 1050, flops: 3 })],
  });
  const { traceEvents } = chromeTrace([attention, expert]);
  const shown = traceEvents.map(({ pid, name, ts, dur }) => [pid, name, ts, dur]);
  expect(shown).toEqual([
    [11, 'process_name', 0, undefined],
    [11, 'step', 0, 100],
    [11, 'prologue', 1, 1],
    [11, 'attend', 10, 20],
    [11, 'attend', 62, 1],
    [11, 'epilogue', 70, 20],
    [11, 'prologue', 101, 1],
    [11, 'embed', 1, 1],
    [11, 'linear', 10, 10],
    [11, 'router', 21, 9],
    [11, 'combine', 60, 1],
    [11, 'rmsNorm', 62, 1],
    [11, 'rmsNorm', 70, 1],
    [11, 'lmHead', 72, 18],
    [11, 'embed', 101, 1],
    [22, 'process_name', 0, undefined],
    [22, 'experts', 40, 10],
  ]);
  expect(traceEvents.at(-1)?.args).toEqual({ layer: 0, weightBytes: 0, kvBytes: 0, flops: 3 });
});
