import { expertTimes, TraceWriter, workerSpan, type ChromeTrace } from '@megascale/core';
import type { SimulatedEvent } from './timeline.js';

/**
 * Draws a timeline with the names and lanes of the engine's flight recorder
 * (docs/flight-recorder.md), so that a simulated run and a real one look alike.
 */
export function simulatedTrace(timeline: readonly SimulatedEvent[]): ChromeTrace {
  const experts = expertTimes(timeline);
  const names = new Map<number, string>();
  for (const { role, rank } of timeline) names.set(pidOf(role, rank), `${role} worker ${rank}`);
  const writer = new TraceWriter();
  for (const [pid, name] of [...names].sort(([a], [b]) => a - b)) writer.process(pid, name);
  for (const event of timeline) {
    const { role, rank } = event;
    writer.span(workerSpan({ role, pid: pidOf(role, rank) }, event, experts));
  }
  return writer.trace();
}

/** Numbers the attention workers before the expert workers, as the pools do. */
function pidOf(role: SimulatedEvent['role'], rank: number): number {
  return (role === 'attention' ? 1 : 10_001) + rank;
}
