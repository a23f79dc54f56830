import { fabricContract } from '../support/fabric-contract.js';

fabricContract('fabric apart', 'shm');
