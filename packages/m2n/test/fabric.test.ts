import { participantProcesses, transportContract } from '@megascale/core/testing';
import { afterAll, beforeAll, describe, vi } from 'vitest';
import { fabricBinding } from '../src/fabric-binding.js';

const startFile = new URL('./participant.mjs', import.meta.url);

/** Else ofi_rxm fills tens of megabytes while a port is opened. */
beforeAll(() => {
  vi.stubEnv('FI_OFI_RXM_BUFFER_SIZE', '1024');
});
afterAll(() => {
  vi.unstubAllEnvs();
});

describe.each(['shm', 'tcp;ofi_rxm'])('fabric over %s', (provider) => {
  transportContract({
    name: `fabric over ${provider} between processes`,
    transport: 'fabric',
    start: participantProcesses(startFile),
    options: { network: { provider } },
    absent: () => Promise.resolve(fabricBinding().fabricTrouble(provider)),
  });
});
