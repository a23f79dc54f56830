import type { SimulatedEvent } from './timeline.js';

/** What chrome://tracing and Perfetto open (Trace Event Format). */
export interface SimulatedTrace {
  readonly displayTimeUnit: 'ms';
  readonly traceEvents: readonly SimulatedTraceEvent[];
}

export interface SimulatedTraceEvent {
  readonly name: string;
  /** 'X': from `ts` for `dur` microseconds; 'M': a name for a process. */
  readonly ph: 'X' | 'M';
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur?: number;
  readonly args: Readonly<Record<string, string | number>>;
}

interface Interval {
  readonly startUs: number;
  readonly endUs: number;
}

/**
 * A timeline with the names and lanes of the engine's flight recorder (docs/flight-recorder.md), so that a simulated run and a real one look alike. Time
 * starts with the first event. A wait is named by what took more of it, experts that computed or nobody.
 */
export function simulatedTrace(timeline: readonly SimulatedEvent[]): SimulatedTrace {
  const originUs = timeline.reduce((least, { startUs }) => Math.min(least, startUs), Infinity);
  const experts = merged(timeline.filter(({ kind }) => kind === 'experts'));
  const workers = new Map<number, SimulatedTraceEvent>();
  for (const { role, rank } of timeline) {
    const pid = pidOf(role, rank);
    workers.set(pid, {
      ...{ name: 'process_name', ph: 'M', pid, tid: 1, ts: 0 },
      args: { name: `${role} worker ${rank}` },
    });
  }
  const names = [...workers.values()].sort((a, b) => a.pid - b.pid);
  const events = timeline.map((event) => traceEvent(event, originUs, experts));
  return { displayTimeUnit: 'ms', traceEvents: [...names, ...events] };
}

function traceEvent(
  event: SimulatedEvent,
  originUs: number,
  experts: readonly Interval[],
): SimulatedTraceEvent {
  const { role, rank, kind, startUs, endUs, layer, microBatch, size } = event;
  const lasted = endUs - startUs;
  const mostlyExperts = kind === 'wait' && within(event, experts) > lasted / 2;
  const cause = role === 'expert' ? 'rows' : mostlyExperts ? 'experts' : 'link';
  return {
    name: kind === 'wait' ? `wait for ${cause}` : kind,
    ph: 'X',
    pid: pidOf(role, rank),
    // Steps that overlap do not nest: a lane of their own.
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

/** Attention workers first, as in the order of the pools. */
function pidOf(role: SimulatedEvent['role'], rank: number): number {
  return (role === 'attention' ? 1 : 10_001) + rank;
}

/** Without overlaps, ascending. */
function merged(intervals: readonly Interval[]): Interval[] {
  const out: { startUs: number; endUs: number }[] = [];
  for (const { startUs, endUs } of [...intervals].sort((a, b) => a.startUs - b.startUs)) {
    const last = out.at(-1);
    if (last !== undefined && startUs <= last.endUs) last.endUs = Math.max(last.endUs, endUs);
    else out.push({ startUs, endUs });
  }
  return out;
}

/** How much of `event` lies in these. */
function within({ startUs, endUs }: Interval, intervals: readonly Interval[]): number {
  let low = 0;
  let high = intervals.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((intervals[middle]?.endUs ?? 0) <= startUs) low = middle + 1;
    else high = middle;
  }
  let sum = 0;
  for (let at = low; at < intervals.length; at += 1) {
    const each = intervals[at];
    if (each === undefined || each.startUs >= endUs) break;
    sum += Math.min(endUs, each.endUs) - Math.max(startUs, each.startUs);
  }
  return sum;
}
