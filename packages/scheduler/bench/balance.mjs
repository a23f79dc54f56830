/**
 * How even the expert workers' loads are under Zipf's law, without copies and with them. A plan is
 * made from one trace and judged on micro-batches that it has not seen, each divided by
 * `ReplicaBalancer` as a dispatch does it. Busiest worker over mean: rows, and cost (max(rows,
 * splitRowsMin) of each expert, what a worker's time follows), both as Σ over layers of the busiest
 * / Σ of the mean. The last row of each group is one placement for all layers.
 *
 *     npm run build -w packages/scheduler && node packages/scheduler/bench/balance.mjs [exponent] [workers] [tokens] [layers]
 */
import { layerPlacement, ReplicaBalancer } from '@megascale/core';
import {
  improvePlacement,
  planPlacement,
  PlacementCost,
  totalLoads,
  ZipfRoutes,
  zipfTrace,
} from '../dist/index.js';

const exponent = Number(process.argv[2] ?? 1.2);
const workers = Number(process.argv[3] ?? 4);
const tokens = Number(process.argv[4] ?? 512);
const splitRowsMin = 16;
const layerCount = Number(process.argv[5] ?? 4);
const dispatches = 200;

function placementWithout(expertCount) {
  return [
    Array.from({ length: expertCount }, (_, id) => [Math.floor((id * workers) / expertCount)]),
  ];
}

/** Imbalance of micro-batches one by one, of their sum, and what balancing one takes. */
function judge(sizes, placement) {
  const routes = new ZipfRoutes({ ...sizes, exponent, seed: 7 });
  const balancers = Array.from(
    { length: layerCount },
    (_, layer) => new ReplicaBalancer(layerPlacement(placement, layer), workers, splitRowsMin),
  );
  const ids = new Int32Array(tokens * sizes.topK);
  let [rowsWorst, costWorst, costIdeal, spentMs] = [0, 0, 0, 0];
  const sums = Array.from({ length: layerCount }, () => new Float64Array(workers));
  for (let dispatch = 0; dispatch < dispatches; dispatch += 1) {
    for (let layer = 0; layer < layerCount; layer += 1) {
      routes.route(layer, ids, tokens);
      const balancer = balancers[layer];
      const counts = new Int32Array(sizes.expertCount);
      for (const id of ids) counts[id] += 1;
      const began = performance.now();
      balancer.balance(ids, ids.length);
      spentMs += performance.now() - began;
      const parts = Array.from({ length: workers }, () => new Map());
      for (const id of ids) {
        const part = parts[balancer.take(id)];
        part.set(id, (part.get(id) ?? 0) + 1);
      }
      const rows = parts.map((part) => [...part.values()].reduce((sum, count) => sum + count, 0));
      const costs = parts.map((part) =>
        [...part.values()].reduce((sum, count) => sum + Math.max(count, splitRowsMin), 0),
      );
      rowsWorst += Math.max(...rows);
      costWorst += Math.max(...costs);
      costIdeal +=
        counts.reduce((s, c) => s + (c === 0 ? 0 : Math.max(c, splitRowsMin)), 0) / workers;
      rows.forEach((count, rank) => (sums[layer][rank] += count));
    }
  }
  const rowsMean = (tokens * sizes.topK * dispatches * layerCount) / workers;
  const sumWorst = sums.reduce((total, rows) => total + Math.max(...rows), 0);
  return {
    rows: rowsWorst / rowsMean,
    cost: costWorst / costIdeal,
    sum: sumWorst / rowsMean,
    us: (spentMs * 1000) / dispatches / layerCount,
  };
}

/**
 * All layers as if they were one: what a placement has to go by that is the same in all of them.
 */
function together({ expertCount, dispatches: each, rows }) {
  const sums = new Float64Array(expertCount);
  for (const [index, count] of Array.from(rows).entries()) sums[index % expertCount] += count;
  return { layerCount: 1, expertCount, dispatches: each * layerCount, rows: sums };
}

console.log(
  `Zipf ${exponent}, ${workers} expert workers, ${layerCount} layers, ${tokens} tokens a micro-batch, ${dispatches} micro-batches not planned for`,
);
console.log(
  'one order: the same experts are hot in all layers; own orders: each layer has its own',
);
console.log(
  'experts top-k order       copies/worker    rows max/mean    cost max/mean    rows of all    balancing µs',
);
for (const order of ['all-layers', 'each-layer']) {
  for (const [expertCount, topK] of [
    [8, 1],
    [8, 2],
    [16, 1],
    [16, 2],
    [64, 1],
    [64, 6],
    [128, 1],
    [128, 8],
  ]) {
    const sizes = { expertCount, topK, layerCount, order };
    const trace = zipfTrace({
      ...sizes,
      exponent,
      seed: 7,
      windows: 10,
      dispatchesPerWindow: 10,
      tokensPerDispatch: tokens,
      windowUs: 1e6,
    });
    const loads = totalLoads(sizes, trace);
    const cost = new PlacementCost(loads, workers, splitRowsMin);
    const before = judge(sizes, placementWithout(expertCount));
    const print = (copies, result) =>
      console.log(
        `${String(expertCount).padEnd(8)}${String(topK).padEnd(6)}${(order === 'all-layers' ? 'one' : 'own').padEnd(12)}${copies.padEnd(17)}${result.rows.toFixed(3).padEnd(17)}${result.cost.toFixed(3).padEnd(17)}${result.sum.toFixed(3).padEnd(15)}${result.us.toFixed(1)}`,
      );
    print('none, even', before);
    for (const copies of [0, 1, 2]) {
      const slots = Math.ceil(expertCount / workers) + copies;
      const { placement } = planPlacement(cost, slots);
      print(String(copies), judge(sizes, placement));
    }
    const ofAll = new PlacementCost(together(loads), workers, splitRowsMin);
    const { placement } = planPlacement(ofAll, Math.ceil(expertCount / workers) + 1);
    print('1, as one layer', judge(sizes, placement));
  }
}

console.log(
  `\nBettered change by change (improvePlacement) from even runs, each layer with hot experts of its own, 1 copy per worker and layer`,
);
console.log('layers experts top-k workers  cost before  after    copies   ms');
for (const [layers, expertCount, topK, expertWorkers] of [
  [4, 8, 2, 4],
  [4, 16, 2, 4],
  [4, 64, 6, 4],
  [32, 128, 8, 8],
  [60, 256, 8, 8],
]) {
  const sizes = { expertCount, topK, layerCount: layers, exponent, seed: 7 };
  const trace = zipfTrace({
    ...sizes,
    windows: 1,
    dispatchesPerWindow: 10,
    tokensPerDispatch: 1024,
    windowUs: 1e6,
  });
  const cost = new PlacementCost(totalLoads(sizes, trace), expertWorkers, splitRowsMin);
  const even = Array.from({ length: expertCount }, (_, id) => [
    Math.floor((id * expertWorkers) / expertCount),
  ]);
  const slotsPerWorker = expertCount / expertWorkers + 1;
  const began = performance.now();
  const { before, after, copies } = improvePlacement({
    cost,
    placement: [even],
    slotsPerWorker,
    copiesMax: Infinity,
  });
  const ms = performance.now() - began;
  console.log(
    `${String(layers).padEnd(7)}${String(expertCount).padEnd(8)}${String(topK).padEnd(6)}${String(expertWorkers).padEnd(9)}${before.cost.toFixed(3).padEnd(13)}${after.cost.toFixed(3).padEnd(9)}${String(copies).padEnd(9)}${ms.toFixed(0)}`,
  );
}
