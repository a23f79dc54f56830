import { BusyTimes, type Interval } from './busy-times.js';
import type { TraceSpan } from './trace-writer.js';

/** What a worker did for a time, as a recorder or a simulator notes it. */
export interface WorkerEvent extends Interval {
  readonly kind: string;
  /** −1 for an event that belongs to no layer. */
  readonly layer: number;
  /** −1 for an event that belongs to no micro-batch. */
  readonly microBatch: number;
  /** Tokens on an attention worker, rows on an expert worker. */
  readonly size: number;
}

/**
 * The span of a worker's event in a trace. A wait is named by what the worker waited for: `rows` on
 * an expert worker; on an attention worker `experts` if they computed for most of the time, else
 * `link`. Steps get a lane of their own, because overlapped steps do not nest.
 *
 * @param experts The times in which any expert worker computed.
 */
export function workerSpan(
  { role, pid }: { readonly role: 'attention' | 'expert'; readonly pid: number },
  event: WorkerEvent,
  experts: BusyTimes,
): TraceSpan {
  const { kind, startUs, endUs, layer, microBatch, size } = event;
  const mostlyExperts = kind === 'wait' && experts.within(event) > (endUs - startUs) / 2;
  const cause = role === 'expert' ? 'rows' : mostlyExperts ? 'experts' : 'link';
  return {
    name: kind === 'wait' ? `wait for ${cause}` : kind,
    pid,
    lane: kind === 'step' ? 2 : 1,
    startUs,
    endUs,
    args: {
      ...(layer < 0 ? {} : { layer }),
      ...(microBatch < 0 ? {} : { microBatch }),
      ...(size > 0 ? { [role === 'expert' ? 'rows' : 'tokens']: size } : {}),
    },
  };
}

/** The times in which expert workers computed. */
export function expertTimes(events: readonly WorkerEvent[]): BusyTimes {
  return new BusyTimes(events.filter(({ kind }) => kind === 'experts'));
}
