import { killStates } from '../support/kill-states.js';
import { killSuite } from '../support/kill-suite.js';

// Only seconds of silence tell of another provider's death, in every round: nothing is counted.
await killSuite({ transport: 'fabric', provider: 'shm', states: killStates });
