import { participantProcesses, transportContract } from '@megascale/core/testing';
import { afterAll, beforeAll, describe, vi } from 'vitest';
import { fabricBinding } from '../../src/memory/fabric-binding.js';

const startFile = new URL('../support/participant.mjs', import.meta.url);

/** Else ofi_rxm fills tens of megabytes while a port is opened. */
beforeAll(() => {
  vi.stubEnv('FI_OFI_RXM_BUFFER_SIZE', '1024');
});
afterAll(() => {
  vi.unstubAllEnvs();
});

describe.each([
  { transport: 'fabric', provider: 'shm' },
  { transport: 'fabric', provider: 'tcp;ofi_rxm' },
  { transport: 'fabric apart', provider: 'shm' },
])('$transport over $provider', ({ transport, provider }) => {
  transportContract({
    name: `${transport} over ${provider} between processes`,
    transport,
    start: participantProcesses(startFile),
    options: { network: { provider } },
    absent: () => Promise.resolve(fabricBinding().fabricTrouble(provider)),
  });
});
