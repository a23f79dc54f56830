import { systemClock } from '@megascale/core';
import type { WorkerMessage } from '../protocol/messages.js';
import { PendingReplies } from '../protocol/pending-replies.js';
import type { WorkerHandle } from '../protocol/worker-handle.js';
import type { WorkerProfile } from '../spec/language-model.js';
import type { Recording } from './flight-recorder.js';
import type { WorkerRecording } from './worker-recording.js';

interface ClockReading {
  readonly sentUs: number;
  readonly receivedUs: number;
  readonly workerUs: number;
}

const readingsPerWorker = 8;

/** Collects from workers what they recorded: profiles, and flight recordings with their clocks. */
export class RecordingCollector {
  readonly #recordings = new PendingReplies<Recording>('recording');
  readonly #clocks = new PendingReplies<ClockReading>('clock reading');
  readonly #profiles = new PendingReplies<Pick<WorkerProfile, 'stages' | 'steps'>>('profile');

  /** Returns what the flight recorder of each worker holds. Rejects when a worker is lost. */
  async recordings(workers: readonly WorkerHandle[]): Promise<WorkerRecording[]> {
    return Promise.all(workers.map((worker) => this.#recordingOf(worker)));
  }

  /**
   * Returns the profile of each worker. From now on each stage records its next `recordsMax` ops
   * anew. Rejects when a worker is lost.
   */
  async profiles(workers: readonly WorkerHandle[], recordsMax: number): Promise<WorkerProfile[]> {
    return Promise.all(
      workers.map(async (worker) => {
        const { role, rank, pid } = worker;
        const message = { type: 'profile-requested', recordsMax } as const;
        return { role, rank, pid, ...(await this.#profiles.request(worker, message)) };
      }),
    );
  }

  receive(worker: WorkerHandle, message: WorkerMessage): void {
    switch (message.type) {
      case 'recording-taken':
        this.#recordings.resolve(worker, message.recording);
        return;
      case 'profile-taken':
        this.#profiles.resolve(worker, { stages: message.stages, steps: message.steps });
        return;
      case 'clock-read': {
        const { sentUs, workerUs } = message;
        const receivedUs = systemClock.nowUs();
        this.#clocks.resolve(worker, { sentUs, workerUs, receivedUs });
        return;
      }
      default:
    }
  }

  /** Rejects what is pending: a worker was lost. */
  fail(error: Error): void {
    this.#recordings.fail(error);
    this.#clocks.fail(error);
    this.#profiles.fail(error);
  }

  async #recordingOf(worker: WorkerHandle): Promise<WorkerRecording> {
    const readings: ClockReading[] = [];
    for (let count = 0; count < readingsPerWorker; count += 1) {
      const message = { type: 'clock-requested', sentUs: systemClock.nowUs() } as const;
      readings.push(await this.#clocks.request(worker, message));
    }
    const recording = await this.#recordings.request(worker, { type: 'recording-requested' });
    const { role, rank, pid } = worker;
    return { role, rank, pid, recording, ...clockOffset(readings) };
  }
}

/**
 * Returns how far a worker's clock is ahead of the coordinator's: the quickest round trip counts,
 * and is taken to be as long there as back. The error is at most half of that round trip. Exported
 * for the test.
 */
export function clockOffset(
  readings: readonly ClockReading[],
): Pick<WorkerRecording, 'clockOffsetUs' | 'clockErrorUs'> {
  let clockOffsetUs = 0;
  let clockErrorUs = Infinity;
  for (const { sentUs, receivedUs, workerUs } of readings) {
    const oneWayUs = (receivedUs - sentUs) / 2;
    if (oneWayUs >= clockErrorUs) continue;
    clockErrorUs = oneWayUs;
    clockOffsetUs = workerUs - (sentUs + oneWayUs);
  }
  // Clocks that may agree are taken to agree: those of one machine do.
  return {
    clockOffsetUs: Math.abs(clockOffsetUs) <= clockErrorUs ? 0 : clockOffsetUs,
    clockErrorUs,
  };
}
