import type { ModelInfo } from '@megascale/engine';

/** 'dictionary: 2 attention workers ⇄ 4 expert workers over shm, 3 micro-batches, backend cpu (avx512)' without the name. */
export function topologyText({ topology, backend, isa }: ModelInfo): string {
  const attention = counted(topology.attentionWorkers, 'attention worker');
  const batches = counted(topology.microBatches, 'micro-batch', 'micro-batches');
  const computing = `backend ${backend} (${isa})`;
  if (topology.type === 'colocated') {
    return `colocated, ${attention}, ${batches}, ${computing}`;
  }
  const experts = counted(topology.expertWorkers, 'expert worker');
  return `${attention} ⇄ ${experts} over ${topology.transport}, ${batches}, ${computing}`;
}

function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
