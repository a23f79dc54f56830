import type { ModelInfo, Topology } from '@megascale/engine';

/**
 * Describes how a model runs in one line:
 * '2 attention workers ⇄ 4 expert workers over shm, 3 micro-batches, backend cpu (avx512)'.
 */
export function topologyText({ topology, backend, isa }: ModelInfo): string {
  const attention = counted(topology.attentionWorkers, 'attention worker');
  const batches = counted(topology.microBatches, 'micro-batch', 'micro-batches');
  const computing = `backend ${backend} (${isa})`;
  if (topology.type === 'colocated') {
    return `colocated, ${attention}, ${batches}, ${computing}`;
  }
  const experts = counted(topology.expertWorkers, 'expert worker');
  return `${attention} ⇄ ${experts} over ${linkText(topology)}, ${batches}, ${computing}`;
}

function linkText(topology: Extract<Topology, { readonly type: 'disaggregated' }>): string {
  const { transport, emulatedLink } = topology;
  if (emulatedLink === undefined) return transport;
  const parts = Object.entries(emulatedLink).map(([name, value]) => `${name}=${value}`);
  return `${transport} (emulated link ${parts.join(',')})`;
}

function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
