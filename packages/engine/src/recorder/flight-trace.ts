import { expertTimes, TraceWriter, workerSpan, type ChromeTrace } from '@megascale/core';
import { eventsOf, type WorkerRecording } from './worker-recording.js';

/**
 * Draws the newest events of all workers on one clock, which starts with the first of them. Each
 * worker is a process of the trace; a wait is named by what the worker waited for.
 */
export function flightTrace(recordings: readonly WorkerRecording[]): ChromeTrace {
  const workers = recordings.map((worker) => ({ worker, events: eventsOf(worker) }));
  const experts = expertTimes(workers.flatMap(({ events }) => events));
  const writer = new TraceWriter();
  for (const { worker, events } of workers) {
    const clockErrorUs = Math.round(worker.clockErrorUs * 10) / 10;
    writer.process(worker.pid, `${worker.role} worker ${worker.rank}`, { clockErrorUs });
    for (const event of events) writer.span(workerSpan(worker, event, experts));
  }
  return writer.trace();
}
