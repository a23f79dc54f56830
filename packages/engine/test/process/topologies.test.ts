import { coveringTopologies, lawOne } from '../support/law-one.js';

lawOne({ model: 'the built-in model', topologies: coveringTopologies(0) });
lawOne({ model: 'a random Qwen3-MoE', topologies: coveringTopologies(1) });
