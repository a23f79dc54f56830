import type { SchedulerPolicy, SchedulerView, StepPlan } from '@megascale/core';

/**
 * Keeps the rules of a plan and nothing else: it preempts, skips, reorders and cuts as a seeded
 * generator says.
 */
export function capriciousPolicy(seed: number): SchedulerPolicy {
  const chance = generator(seed);
  return { specVersion: 1, name: 'capricious', plan: (view) => planByChance(view, chance) };
}

function planByChance(view: SchedulerView, chance: () => number): StepPlan {
  const preempted = view.running.filter(() => chance() < 0.08);
  const kept = view.running.filter((sequence) => !preempted.includes(sequence));
  const candidates = [
    ...kept.map((sequence) => ({ ...sequence, starts: false })),
    ...view.waiting.map((sequence) => ({
      ...sequence,
      kvPages: preempted.length > 0 ? 0 : sequence.kvPages,
      starts: true,
    })),
  ];
  let free = preempted.reduce((sum, { kvPagesFreed }) => sum + kvPagesFreed, view.kvPagesFree);
  let left = view.maxNumBatchedTokens;
  let places = view.maxNumSeqs - kept.length;
  const run: { id: (typeof candidates)[number]['id']; tokens: number }[] = [];
  const shuffled = candidates.map((candidate) => ({ candidate, key: chance() }));
  for (const { candidate } of shuffled.sort((a, b) => a.key - b.key)) {
    if (candidate.starts && places < 1) continue;
    const room = (candidate.kvPages + free) * view.kvPageSize - candidate.contextTokens;
    const most = Math.min(room, left, candidate.tokensLeft, view.prefillChunkTokensMax);
    // Skipping is only allowed while somebody else runs.
    if (most < 1 || (run.length > 0 && chance() < 0.2)) continue;
    const tokens = 1 + Math.floor(chance() * most);
    const pages = Math.ceil((candidate.contextTokens + tokens) / view.kvPageSize);
    free -= Math.max(0, pages - candidate.kvPages);
    left -= tokens;
    if (candidate.starts) places -= 1;
    run.push({ id: candidate.id, tokens });
  }
  if (run.length > 0) return { run, preempt: preempted.map(({ id }) => id) };
  // Everybody is stuck: the first one may go on alone.
  const [survivor, ...others] = view.running;
  if (survivor === undefined) throw new Error('a waiting sequence found no room in an empty pool');
  const preempt = others.map(({ id }) => id);
  return { run: preempt.length > 0 ? [] : [{ id: survivor.id, tokens: 1 }], preempt };
}

/** A linear congruential generator: numbers in [0, 1). */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 0x100000000;
  };
}
