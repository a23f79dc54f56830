/**
 * Counts what replicas of experts bring: the distinct experts that the busiest expert worker reads
 * for one micro-batch, against the least possible. It also times what the choice of replicas costs
 * a dispatch.
 *
 *     npm run build && node packages/engine/bench/replica-balance.mjs
 */
import { performance } from 'node:perf_hooks';
import { ReplicaBalancer } from '@megascale/core';
import { SeededRandom } from '@megascale/core/testing';

const expertCount = 128;
const expertWorkers = 8;
const topK = 8;
const microBatches = 2000;
const replicaCounts = [1, 2, 3];

/** Expert e on worker e mod N and the ones after it, as the engine does from two replicas on. */
function neighbours(replicas) {
  return Array.from({ length: expertCount }, (_, expert) =>
    Array.from({ length: replicas }, (__, replica) => (expert + replica) % expertWorkers),
  );
}

/**
 * Returns [tokens, topK] distinct experts of each token. Expert e is chosen in proportion to
 * (e + 1)^-skew, shuffled once.
 */
function routes(random, tokens, popularity) {
  const ids = new Int32Array(tokens * topK);
  for (let token = 0; token < tokens; token++) {
    // The k greatest of log(u) / weight: sampling without replacement.
    const keys = popularity.map((weight, id) => [Math.log(1 - random.fraction()) / weight, id]);
    keys.sort((a, b) => b[0] - a[0]);
    for (let k = 0; k < topK; k++) ids[token * topK + k] = keys[k][1];
  }
  return ids;
}

/** Experts that the busiest worker reads; takes the rows in their order, as a dispatch does. */
function busiest(ids, balancer) {
  const read = Array.from({ length: expertWorkers }, () => new Set());
  for (const id of ids) read[balancer.take(id)].add(id);
  return Math.max(...read.map(({ size }) => size));
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

console.log(`${expertCount} experts, top-${topK}, ${expertWorkers} expert workers`);
console.log('skew  tokens  least possible  replicas: experts read by the busiest, dispatch µs');
for (const skew of [0, 0.8]) {
  for (const tokens of [4, 16, 64]) {
    const random = new SeededRandom(1);
    const popularity = random.shuffle(
      Array.from({ length: expertCount }, (_, id) => (id + 1) ** -skew),
    );
    const batches = Array.from({ length: microBatches }, () => routes(random, tokens, popularity));
    const least = mean(batches.map((ids) => Math.ceil(new Set(ids).size / expertWorkers)));
    const cells = replicaCounts.map((replicas) => {
      const balancer = new ReplicaBalancer(neighbours(replicas), expertWorkers);
      const loads = [];
      const times = [];
      for (const ids of batches) {
        const began = performance.now();
        balancer.balance(ids, ids.length);
        times.push((performance.now() - began) * 1000);
        loads.push(busiest(ids, balancer));
      }
      return `${replicas}: ${mean(loads).toFixed(2)}, ${median(times).toFixed(2)}`;
    });
    console.log(
      `${skew.toFixed(1).padEnd(6)}${String(tokens).padEnd(8)}` +
        `${least.toFixed(2).padEnd(16)}${cells.join('   ')}`,
    );
  }
}
