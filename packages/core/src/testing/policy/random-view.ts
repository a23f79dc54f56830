import type { RunningView, SchedulerView, WaitingView } from '../../spec/scheduler-policy.js';
import { sequenceId } from '../../spec/units.js';
import type { SeededRandom } from '../seeded-random.js';

/**
 * A view as a worker may meet it: any mix of prefill and decode, pages from plenty to none; every
 * sequence fits alone.
 */
export function randomView(random: SeededRandom): SchedulerView {
  const kvPageSize = 16 * random.integer(1, 2);
  const kvPageCount = random.integer(2, 40);
  const maxNumSeqs = random.integer(1, 12);
  const nowMs = random.integer(1000, 100_000);
  const running: RunningView[] = [];
  let kvPagesFree = kvPageCount;
  let id = 0;
  const runningCount = random.integer(0, maxNumSeqs);
  while (running.length < runningCount && kvPagesFree > 0) {
    const kvPages = random.integer(1, Math.min(4, kvPagesFree));
    kvPagesFree -= kvPages;
    const contextTokens = random.integer((kvPages - 1) * kvPageSize + 1, kvPages * kvPageSize);
    const room = kvPageCount * kvPageSize - contextTokens;
    const tokensLeft = random.fraction() < 0.7 ? 1 : random.integer(1, 50);
    id += random.integer(1, 3);
    if (room < 1) continue;
    running.push({
      ...randomService(random, id, nowMs),
      contextTokens,
      tokensLeft: Math.min(tokensLeft, room),
      kvPages,
      kvPagesFreed: random.fraction() < 0.7 ? kvPages : random.integer(0, kvPages),
    });
  }
  const held = kvPageCount - kvPagesFree;
  const waiting = Array.from({ length: random.integer(0, 8) }, (): WaitingView => {
    id += random.integer(1, 3);
    // Some would share pages, of running sequences or of a cache.
    const shares = random.fraction() < 0.3;
    const kvPages = shares ? random.integer(0, Math.min(3, held)) : 0;
    const cached = shares ? random.integer(0, Math.min(2, kvPagesFree)) : 0;
    const contextTokens = Math.min(kvPages + cached, kvPageCount - 1) * kvPageSize;
    const room = kvPageCount * kvPageSize - contextTokens;
    const tokensLeft = random.integer(1, Math.min(100, room));
    return { ...randomService(random, id, nowMs), contextTokens, kvPages, tokensLeft };
  }).sort((a, b) => a.arrivedAtMs - b.arrivedAtMs);
  const maxNumBatchedTokens = random.integer(1, 64);
  return {
    nowMs,
    waiting,
    running,
    kvPagesFree,
    kvPageSize,
    microBatchCount: random.integer(1, 4),
    maxNumBatchedTokens,
    maxNumSeqs,
    prefillChunkTokensMax: random.integer(1, maxNumBatchedTokens),
  };
}

function randomService(random: SeededRandom, id: number, nowMs: number) {
  const wantsTimes = random.fraction() < 0.3;
  return {
    id: sequenceId(id),
    arrivedAtMs: random.integer(0, nowMs),
    priority: random.fraction() < 0.7 ? 0 : random.integer(-3, 3),
    ...(random.fraction() < 0.5 ? {} : { tenant: `tenant ${random.integer(1, 3)}` }),
    ...(wantsTimes ? { ttftTargetMs: random.integer(1, 2000), tpotTargetMs: 50 } : {}),
    outputTokens: random.integer(0, 20),
    preemptions: random.fraction() < 0.8 ? 0 : random.integer(1, 3),
  };
}
