import { coveringTopologies, lawOne, topologies } from '../support/law-one.js';
import { lawOneOptions } from '../support/law-one-options.js';

const covered = new Set(coveringTopologies(1).map((topology) => JSON.stringify(topology)));

lawOne({
  model: 'a random Qwen3-MoE',
  topologies: topologies.filter((topology) => !covered.has(JSON.stringify(topology))),
  more: lawOneOptions,
});
