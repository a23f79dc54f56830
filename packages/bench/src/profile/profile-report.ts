import type { MachineProfile } from '@megascale/planner';

/** A profile for people: one line a figure. */
export function profileText(profile: MachineProfile): string {
  const { machine, model, bounds } = profile;
  const lines = [
    `profile of ${machine.cpu}, ${machine.cores} cores, ${profile.backend} (${profile.isa}), for ${model.name}, ${profile.takenAt}`,
    '',
    `read bandwidth ${(bounds.readBytesPerSecond / 1e9).toFixed(2)} GB/s, product ${(bounds.multiplyFlopsPerSecond / 1e9).toFixed(1)} GFLOP/s, fork and join ${bounds.forkJoinUs.toFixed(2)} µs`,
    `routes as of ${profile.effectiveExperts.toFixed(1)} equally popular experts of ${model.expertCount}`,
    ...profile.pools.flatMap(poolLines),
    ...profile.handovers.map(
      ({ attentionWorkers, expertWorkers, layerUs, microBatchUs, tokenUs }) =>
        `handover ${attentionWorkers} × ${expertWorkers}: ${us(layerUs)} a layer, ${us(microBatchUs)} a micro-batch, ${us(tokenUs)} a token`,
    ),
    ...profile.transports.flatMap(({ name, alphaUs, bytesPerUs, points }) => [
      `transport ${name}: α ${us(alphaUs)}, ${(bytesPerUs / 1000).toFixed(2)} GB/s`,
      ...points.map(
        ({ bytes, latencyUs, utilization }) =>
          `  ${String(bytes).padStart(9)} bytes ${us(latencyUs).padStart(12)}, util ${utilization.toFixed(2)}`,
      ),
    ]),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

function poolLines(pool: MachineProfile['pools'][number]): string[] {
  const { attention: a, expert: e, edge: g } = pool;
  return [
    '',
    `${pool.workersAtOnce} worker${pool.workersAtOnce === 1 ? '' : 's'} at once, ${pool.threads} thread${pool.threads === 1 ? '' : 's'} each; for t tokens, k keys, r rows of d experts, in µs`,
    `  T_a  = ${num(a.fixedUs)} + ${num(a.tokenUs)} t + ${num(a.kneeTokenUs)} max(0, t − ${a.kneeTokens}) + ${a.keyUs.toFixed(4)} k (${num(a.repeatedUs)} where weights are cached)`,
    `  T_e  = ${num(e.fixedUs)} + ${num(e.expertUs)} d + ${num(e.rowUs)} r + ${num(e.kneeRowUs)} max(0, r − ${num(e.kneeRows)} d)`,
    `  edge = ${num(g.fixedUs)} + ${num(g.tokenUs)} t + ${num(g.kneeTokenUs)} max(0, t − ${g.kneeTokens})`,
    `  step = ${num(pool.stepOverheadUs)} + ${num(pool.stepTokenUs)} t besides`,
  ];
}

function us(value: number): string {
  return `${value.toFixed(1)} µs`;
}

function num(value: number): string {
  return value.toFixed(value < 10 ? 2 : 1);
}
