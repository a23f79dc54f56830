import { participantProcesses } from '@megascale/core/testing';
import { tcpContract } from '../support/tcp-contract.js';

const startFile = new URL('../support/participant.mjs', import.meta.url);

tcpContract('tcp between processes, with a key, over IPv6', participantProcesses(startFile), {
  network: { preSharedKey: 'a secret of at least sixteen bytes', host: '::1' },
});
