import { describe, expect, it } from 'vitest';
import { PipelineTimer } from '../../../src/attention/pipeline-timer.js';
import { eventKind, eventKinds, FlightRecorder } from '../../../src/recorder/flight-recorder.js';
import { StepClock } from '../../../src/recorder/step-clock.js';

/** A step clock on a time that the test sets, and what observes it. */
function clockAt() {
  const now = { us: 0 };
  const recorder = new FlightRecorder(64);
  const timer = new PipelineTimer(2);
  const clock = new StepClock({ nowUs: () => now.us, wallMs: () => 0 }, [recorder, timer]);
  const call = (kind: keyof typeof eventKind, us: number, microBatch = 0): void => {
    const startUs = clock.nowUs();
    now.us += us;
    clock.note(eventKind[kind], startUs, 0, microBatch, 3);
  };
  return { now, clock, recorder, timer, call };
}

describe('StepClock', () => {
  it('counts colocated experts as computing, and not as part of the dispatch', () => {
    const { now, clock, call } = clockAt();
    const startUs = clock.nowUs();
    now.us += 2;
    call('experts', 50);
    now.us += 1;
    clock.note(eventKind.dispatch, startUs, 0, 0, 3);
    call('dispatch', 4);
    expect(clock.times).toMatchObject({ computeUs: 50, expertUs: 50, dispatchUs: 7 });
  });

  it('returns what each step alone took, and the steps follow each other without a gap', () => {
    const { now, clock, call } = clockAt();
    now.us = 100;
    clock.resume();
    call('attend', 10);
    now.us += 5;
    const first = clock.endStep(3);
    call('attend', 20);
    call('wait', 30);
    const second = clock.endStep(3);
    expect(first).toMatchObject({ startUs: 100, endUs: 115 });
    expect(first.spent).toMatchObject({ totalUs: 15, computeUs: 10, waitUs: 0, halfLayers: 1 });
    expect(second).toMatchObject({ startUs: 115, endUs: 165 });
    expect(second.spent).toMatchObject({ totalUs: 50, computeUs: 20, waitUs: 30, halfLayers: 1 });
    expect(clock.times).toMatchObject({ totalUs: 65, computeUs: 30 });
  });

  it('passes each call on to the recorder and to the pipeline timer', () => {
    const { clock, recorder, timer, call } = clockAt();
    call('attend', 10);
    call('dispatch', 2);
    call('attend', 12, 1);
    call('dispatch', 2, 1);
    call('wait', 6);
    call('combine', 4);
    clock.endStep(6);
    expect(recorder.read().kinds.map((kind) => eventKinds[kind])).toEqual([
      'attend',
      'dispatch',
      'attend',
      'dispatch',
      'wait',
      'combine',
      'step',
    ]);
    timer.endStep([{ index: 0 }, { index: 1 }] as never);
    const times = timer.read();
    expect(times?.attentionTimeUs).toBe(15);
    expect(times?.awayUs).toBe(20);
    expect(times?.waitShare).toBeCloseTo(6 / 36);
  });
});
