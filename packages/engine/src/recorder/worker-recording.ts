import { eventKinds, type EventKind, type Recording } from './flight-recorder.js';

/** One worker's newest events, with what it takes to put them on the coordinator's clock. */
export interface WorkerRecording {
  readonly role: 'attention' | 'expert';
  readonly rank: number;
  readonly pid: number;
  readonly recording: Recording;
  /** Subtracted from the worker's times gives the coordinator's; good to within `clockErrorUs`. */
  readonly clockOffsetUs: number;
  readonly clockErrorUs: number;
}

/** On the coordinator's clock. */
export interface RecordedEvent {
  readonly kind: EventKind;
  readonly startUs: number;
  readonly endUs: number;
  readonly layer: number;
  readonly microBatch: number;
  readonly size: number;
}

export function eventsOf({ recording, clockOffsetUs }: WorkerRecording): RecordedEvent[] {
  return recording.kinds.map((kind, index) => ({
    kind: eventKinds[kind] ?? 'step',
    startUs: (recording.startUs[index] ?? 0) - clockOffsetUs,
    endUs: (recording.endUs[index] ?? 0) - clockOffsetUs,
    layer: recording.layers[index] ?? -1,
    microBatch: recording.microBatches[index] ?? -1,
    size: recording.sizes[index] ?? 0,
  }));
}
