import { killStates, quickKillStates } from '../support/kill-states.js';
import { killSuite } from '../support/kill-suite.js';

await killSuite({
  transport: 'shm',
  states: killStates.filter((kill) => !quickKillStates.has(kill)),
  leakRounds: 50,
});
