import { coveringTopologies, lawOne, topologies } from '../support/law-one.js';
import { lawOneOptions } from '../support/law-one-options.js';

const covered = new Set(coveringTopologies(0).map((topology) => JSON.stringify(topology)));

lawOne({
  model: 'the built-in model',
  topologies: topologies.filter((topology) => !covered.has(JSON.stringify(topology))),
  more: lawOneOptions,
});
