import { participantProcesses } from '@megascale/core/testing';
import { shmContract } from '../support/shm-contract.js';

const startFile = new URL('../support/participant.mjs', import.meta.url);

shmContract('shm between processes', participantProcesses(startFile));
