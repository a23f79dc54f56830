// The simplest policy that starves nobody: one sequence runs until it has ended, then the next. A
// policy is pure: it sees a view, returns a plan, and the batcher refuses plans that break a rule.
const oneAtATime = {
  specVersion: 1,
  name: 'one-at-a-time',
  plan({ waiting, running, kvPagesFree, kvPageSize, maxNumBatchedTokens, prefillChunkTokensMax }) {
    const [next] = running.length > 0 ? running : waiting;
    if (next === undefined) return { run: [], preempt: [] };
    const room = (next.kvPages + kvPagesFree) * kvPageSize - next.contextTokens;
    const tokens = Math.min(next.tokensLeft, maxNumBatchedTokens, prefillChunkTokensMax, room);
    return { run: [{ id: next.id, tokens }], preempt: [] };
  },
};

export const plugin = { policies: [oneAtATime] };
