import { distinctExperts } from '../cost/active-experts.js';

/** How a micro-batch's rows fall on experts, and those on workers. */
export interface RoutingShape {
  readonly expertCount: number;
  readonly topK: number;
  /** See `MachineProfile`: fewer than `expertCount` where some experts are chosen more often. */
  readonly effectiveExperts: number;
}

/**
 * The number of equally popular experts that explains the mean distinct experts which were seen, at
 * most `expertCount`.
 */
export function fitEffectiveExperts(
  seen: readonly { readonly tokens: number; readonly distinctExperts: number }[],
  { expertCount, topK }: { readonly expertCount: number; readonly topK: number },
): number {
  const off = (experts: number): number =>
    seen.reduce((sum, { tokens, distinctExperts: distinct }) => {
      return sum + (distinctExperts(experts, topK / experts, tokens) / distinct - 1) ** 2;
    }, 0);
  let [low, high] = [topK, expertCount];
  // The error has one minimum: distinct experts grow with the number of experts.
  for (let iteration = 0; iteration < 60; iteration += 1) {
    const third = (high - low) / 3;
    if (off(low + third) < off(high - third)) high -= third;
    else low += third;
  }
  return (low + high) / 2;
}

/** What one worker has of a draw. */
export interface WorkerShare {
  readonly rows: number;
  readonly distinctExperts: number;
}

const draws = 200;

/**
 * Ways in which t tokens' rows may fall on `workers` that hold equal parts of the experts, in order
 * of rank: [draws][workers]. Drawn with a fixed seed: the same arguments give the same ways.
 */
export function drawShares(
  tokens: number,
  routing: RoutingShape,
  workers: number,
): WorkerShare[][] {
  const { expertCount, topK, effectiveExperts } = routing;
  const expected = distinctExperts(effectiveExperts, topK / effectiveExperts, tokens);
  const even = distinctExperts(expertCount, topK / expertCount, tokens);
  const fewer = even > 0 ? expected / even : 1;
  if (workers === 1) return [[{ rows: tokens * topK, distinctExperts: expected }]];
  const next = randomFractions(0x5eed);
  return Array.from({ length: draws }, () => {
    const rows = drawRows(tokens, routing, next);
    return Array.from({ length: workers }, (_, rank) => {
      const from = Math.round((rank * expertCount) / workers);
      const own = rows.subarray(from, Math.round(((rank + 1) * expertCount) / workers));
      const distinct = own.reduce((sum, each) => sum + (each > 0 ? 1 : 0), 0);
      return { rows: own.reduce((a, b) => a + b, 0), distinctExperts: distinct * fewer };
    });
  });
}

/** [experts] rows, when each token chooses topK different experts evenly. */
function drawRows(tokens: number, routing: RoutingShape, next: () => number): Float64Array {
  const { expertCount, topK } = routing;
  const rows = new Float64Array(expertCount);
  const order = Int32Array.from({ length: expertCount }, (_, expert) => expert);
  for (let token = 0; token < Math.round(tokens); token += 1) {
    for (let chosen = 0; chosen < topK; chosen += 1) {
      const other = chosen + Math.floor(next() * (expertCount - chosen));
      const expert = order[other] ?? 0;
      order[other] = order[chosen] ?? 0;
      order[chosen] = expert;
      rows[expert] = (rows[expert] ?? 0) + 1;
    }
  }
  return rows;
}

/** 0 ≤ value < 1, by splitmix32. */
function randomFractions(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let word = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    word = Math.imul(word ^ (word >>> 15), 0x735a2d97);
    return ((word ^ (word >>> 15)) >>> 0) / 2 ** 32;
  };
}
