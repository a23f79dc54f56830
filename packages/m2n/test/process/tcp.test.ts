import { participantThreads } from '@megascale/core/testing';
import { tcpContract } from '../support/tcp-contract.js';

const startFile = new URL('../support/participant.mjs', import.meta.url);

tcpContract('tcp between threads', participantThreads(startFile));
