import { systemClock } from '@megascale/core';
import { deferred, type Deferred } from '../protocol/deferred.js';
import type { WorkerHandle } from '../protocol/worker-handle.js';
import type { WorkerMessage } from '../protocol/messages.js';
import type { Recording } from './flight-recorder.js';
import type { WorkerRecording } from './worker-recording.js';

interface ClockReading {
  readonly sentUs: number;
  readonly receivedUs: number;
  readonly workerUs: number;
}

const readingsPerWorker = 8;

/** Asks workers for what they recorded, and for their clocks. */
export class RecordingDesk {
  readonly #recordings = new Map<WorkerHandle, Deferred<Recording>>();
  readonly #clocks = new Map<WorkerHandle, Deferred<ClockReading>>();

  /** Rejects when `fail` is called meanwhile. */
  async take(workers: readonly WorkerHandle[]): Promise<WorkerRecording[]> {
    return Promise.all(workers.map((worker) => this.#takeOne(worker)));
  }

  receive(worker: WorkerHandle, message: WorkerMessage): void {
    if (message.type === 'recording-taken') {
      this.#recordings.get(worker)?.resolve(message.recording);
      this.#recordings.delete(worker);
    }
    if (message.type === 'clock-read') {
      const { sentUs, workerUs } = message;
      this.#clocks.get(worker)?.resolve({ sentUs, workerUs, receivedUs: systemClock.nowUs() });
      this.#clocks.delete(worker);
    }
  }

  fail(error: Error): void {
    for (const waiting of [...this.#recordings.values(), ...this.#clocks.values()])
      waiting.reject(error);
    this.#recordings.clear();
    this.#clocks.clear();
  }

  async #takeOne(worker: WorkerHandle): Promise<WorkerRecording> {
    const readings: ClockReading[] = [];
    for (let count = 0; count < readingsPerWorker; count += 1)
      readings.push(await this.#readClock(worker));
    const taken = deferred<Recording>();
    this.#recordings.get(worker)?.reject(new Error('Another recording was asked for.'));
    this.#recordings.set(worker, taken);
    worker.send({ type: 'recording-requested' });
    const { role, rank, pid } = worker;
    return { role, rank, pid, recording: await taken.promise, ...clockOffset(readings) };
  }

  #readClock(worker: WorkerHandle): Promise<ClockReading> {
    const reading = deferred<ClockReading>();
    this.#clocks.get(worker)?.reject(new Error('The clock was asked for again.'));
    this.#clocks.set(worker, reading);
    worker.send({ type: 'clock-requested', sentUs: systemClock.nowUs() });
    return reading.promise;
  }
}

/**
 * How far a worker's clock is ahead of ours: from the quickest round trip, taken to be as long there as back. The error is at most half of
 * that round trip. Exported for the test.
 */
export function clockOffset(
  readings: readonly ClockReading[],
): Pick<WorkerRecording, 'clockOffsetUs' | 'clockErrorUs'> {
  let clockOffsetUs = 0;
  let clockErrorUs = Infinity;
  for (const { sentUs, receivedUs, workerUs } of readings) {
    const half = (receivedUs - sentUs) / 2;
    if (half >= clockErrorUs) continue;
    clockErrorUs = half;
    clockOffsetUs = workerUs - (sentUs + half);
  }
  // Clocks that may agree are taken to: those of one machine do.
  return {
    clockOffsetUs: Math.abs(clockOffsetUs) <= clockErrorUs ? 0 : clockOffsetUs,
    clockErrorUs,
  };
}
