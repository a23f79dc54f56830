import { describe, expect, it } from 'vitest';
import { BusyTimes } from '@megascale/core';
import {
  eventKind,
  FlightRecorder,
  type EventKind,
} from '../../../src/recorder/flight-recorder.js';
import { pipelineNumbers } from '../../../src/recorder/pipeline-numbers.js';
import { clockOffset } from '../../../src/recorder/recording-collector.js';
import type { WorkerRecording } from '../../../src/recorder/worker-recording.js';

type Noted = readonly [kind: EventKind, startUs: number, endUs: number, layer?: number];

function worker(
  role: 'attention' | 'expert',
  rank: number,
  events: readonly Noted[],
): WorkerRecording {
  const recorder = new FlightRecorder(100);
  for (const [kind, startUs, endUs, layer = -1] of events) {
    recorder.note(eventKind[kind], startUs, endUs, layer, layer < 0 ? -1 : 0, 1);
  }
  const pid = 10 * rank + (role === 'attention' ? 1 : 2);
  return { role, rank, pid, recording: recorder.read(), clockOffsetUs: 0, clockErrorUs: 1 };
}

describe('the numbers of a pipeline', () => {
  it('name every bubble by its cause', () => {
    // One layer: attend 0–100, 20 on the way, experts 130–230, 20 back, combine.
    const attention = worker('attention', 0, [
      ['attend', 0, 100, 0],
      ['dispatch', 100, 110, 0],
      ['wait', 110, 250, 0],
      ['combine', 250, 260, 0],
      ['step', 0, 260],
    ]);
    const expert = worker('expert', 0, [
      ['wait', -40, 130, 0],
      ['experts', 130, 230, 0],
      ['reply', 230, 232, 0],
    ]);
    const numbers = pipelineNumbers([attention, expert]);
    expect(numbers).toMatchObject({ attentionUs: 110, expertUs: 100, linkUs: 20 });
    const [a, e] = numbers.workers;
    expect(a?.bubbles).toEqual({ experts: 100 / 260, attention: 0, link: 40 / 260, idle: 0 });
    expect(e?.bubbles).toEqual({
      experts: 0,
      attention: 110 / 272,
      link: 20 / 272,
      idle: 40 / 272,
    });
    expect(numbers.exposedCommunication).toBeCloseTo(40 / 260);
  });

  it('say how much busier the busiest worker is', () => {
    const numbers = pipelineNumbers([
      worker('expert', 0, [['experts', 0, 300, 0]]),
      worker('expert', 1, [['experts', 0, 100, 0]]),
    ]);
    expect(numbers.expertImbalance).toBe(1.5);
    expect(numbers.attentionUs).toBeUndefined();
  });
});

describe('the flight recorder', () => {
  it('keeps the newest events, oldest first, and counts the others', () => {
    const recorder = new FlightRecorder(3);
    for (let event = 0; event < 5; event += 1) {
      recorder.note(eventKind.attend, event, event + 0.5, event, 1, 7);
    }
    expect(recorder.read()).toEqual({
      kinds: [3, 3, 3],
      startUs: [2, 3, 4],
      endUs: [2.5, 3.5, 4.5],
      layers: [2, 3, 4],
      microBatches: [1, 1, 1],
      sizes: [7, 7, 7],
      lost: 2,
    });
  });
});

describe('busy times', () => {
  it('count what several intervals cover once', () => {
    const busy = new BusyTimes([
      { startUs: 10, endUs: 20 },
      { startUs: 15, endUs: 30 },
      { startUs: 40, endUs: 50 },
    ]);
    expect(busy.within({ startUs: 0, endUs: 100 })).toBe(30);
    expect(busy.within({ startUs: 18, endUs: 45 })).toBe(17);
    expect(busy.within({ startUs: 30, endUs: 40 })).toBe(0);
  });
});

describe('the offset of a clock', () => {
  it('is read from the quickest round trip, and is none where clocks may agree', () => {
    const slow = { sentUs: 0, receivedUs: 400, workerUs: 5300 };
    const quick = { sentUs: 1000, receivedUs: 1020, workerUs: 6010 };
    expect(clockOffset([slow, quick])).toEqual({ clockOffsetUs: 5000, clockErrorUs: 10 });
    const alike = { sentUs: 1000, receivedUs: 1020, workerUs: 1017 };
    expect(clockOffset([alike])).toEqual({ clockOffsetUs: 0, clockErrorUs: 10 });
  });
});
