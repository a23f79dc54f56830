import { BusyTimes } from './busy-times.js';
import { eventsOf, type RecordedEvent, type WorkerRecording } from './worker-recording.js';

/** What chrome://tracing and Perfetto open (Trace Event Format). */
export interface FlightTrace {
  readonly displayTimeUnit: 'ms';
  readonly traceEvents: readonly FlightTraceEvent[];
}

export interface FlightTraceEvent {
  readonly name: string;
  /** 'X': from `ts` for `dur` microseconds; 'M': a name for a process. */
  readonly ph: 'X' | 'M';
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur?: number;
  readonly args: Readonly<Record<string, string | number>>;
}

/** All workers' newest events on one clock that starts with the first of them. A wait is named by what it waited for. */
export function flightTrace(recordings: readonly WorkerRecording[]): FlightTrace {
  const workers = recordings.map((worker) => ({ worker, events: eventsOf(worker) }));
  const experts = new BusyTimes(
    workers.flatMap(({ events }) => events.filter(({ kind }) => kind === 'experts')),
  );
  const originUs = workers
    .flatMap(({ events }) => events)
    .reduce((least, { startUs }) => Math.min(least, startUs), Infinity);
  return {
    displayTimeUnit: 'ms',
    traceEvents: workers.flatMap(({ worker, events }) => [
      processName(worker),
      // Steps that overlap do not nest: a lane of their own.
      ...events.map((event) => traceEvent(worker, event, originUs, experts)),
    ]),
  };
}

function processName({ role, rank, pid, clockErrorUs }: WorkerRecording): FlightTraceEvent {
  return {
    ...{ name: 'process_name', ph: 'M' as const, pid, tid: 1, ts: 0 },
    args: {
      name: `${role} worker ${String(rank)}`,
      clockErrorUs: Math.round(clockErrorUs * 10) / 10,
    },
  };
}

function traceEvent(
  { role, pid }: WorkerRecording,
  event: RecordedEvent,
  originUs: number,
  experts: BusyTimes,
): FlightTraceEvent {
  const { kind, startUs, endUs, layer, microBatch, size } = event;
  const lasted = endUs - startUs;
  const mostlyExperts = kind === 'wait' && experts.within(event) > lasted / 2;
  const cause = role === 'expert' ? 'rows' : mostlyExperts ? 'experts' : 'link';
  return {
    name: kind === 'wait' ? `wait for ${cause}` : kind,
    ph: 'X',
    pid,
    tid: kind === 'step' ? 2 : 1,
    ts: startUs - originUs,
    dur: lasted,
    args: {
      ...(layer < 0 ? {} : { layer }),
      ...(microBatch < 0 ? {} : { microBatch }),
      ...(size > 0 ? { [role === 'expert' ? 'rows' : 'tokens']: size } : {}),
    },
  };
}
