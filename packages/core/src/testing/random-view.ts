import type { RunningView, SchedulerView, WaitingView } from '../spec/scheduler-policy.js';
import { sequenceId } from '../spec/units.js';
import type { SeededRandom } from './seeded-random.js';

/**
 * A view as a worker may meet it: any mix of prefill and decode, pages from plenty to none; every
 * sequence fits alone.
 */
export function randomView(random: SeededRandom): SchedulerView {
  const kvPageSize = 16 * random.integer(1, 2);
  const kvPageCount = random.integer(2, 40);
  const runningMax = random.integer(1, 12);
  const nowMs = random.integer(1000, 100_000);
  const running: RunningView[] = [];
  let kvPagesFree = kvPageCount;
  let id = 0;
  const runningCount = random.integer(0, runningMax);
  while (running.length < runningCount && kvPagesFree > 0) {
    const kvPages = random.integer(1, Math.min(4, kvPagesFree));
    kvPagesFree -= kvPages;
    const contextTokens = random.integer((kvPages - 1) * kvPageSize + 1, kvPages * kvPageSize);
    const room = kvPageCount * kvPageSize - contextTokens;
    const tokensLeft = random.fraction() < 0.7 ? 1 : random.integer(1, 50);
    id += random.integer(1, 3);
    if (room < 1) continue;
    running.push({
      id: sequenceId(id),
      contextTokens,
      tokensLeft: Math.min(tokensLeft, room),
      kvPages,
    });
  }
  const waiting = Array.from({ length: random.integer(0, 8) }, (): WaitingView => {
    id += random.integer(1, 3);
    const tokensLeft = random.integer(1, Math.min(100, kvPageCount * kvPageSize));
    return { id: sequenceId(id), arrivedAtMs: random.integer(0, nowMs), tokensLeft };
  }).sort((a, b) => a.arrivedAtMs - b.arrivedAtMs);
  const tokensPerStepMax = random.integer(1, 64);
  return {
    nowMs,
    waiting,
    running,
    kvPagesFree,
    kvPageSize,
    microBatchCount: random.integer(1, 4),
    tokensPerStepMax,
    runningMax,
    prefillChunkTokensMax: random.integer(1, tokensPerStepMax),
  };
}
