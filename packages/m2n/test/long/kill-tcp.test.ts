import { killStates } from '../support/kill-states.js';
import { killSuite } from '../support/kill-suite.js';

await killSuite({ transport: 'tcp', states: killStates, leakRounds: 16 });
