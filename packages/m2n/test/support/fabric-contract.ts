import { participantProcesses, transportContract } from '@megascale/core/testing';
import { afterAll, beforeAll, describe, vi } from 'vitest';
import { fabricBinding } from '../../src/memory/fabric-binding.js';

const startFile = new URL('./participant.mjs', import.meta.url);

/** The contract over a provider of libfabric, between processes. */
export function fabricContract(transport: 'fabric' | 'fabric apart', provider: string): void {
  describe(`${transport} over ${provider}`, () => {
    // Without this ofi_rxm fills tens of megabytes while a port is opened.
    beforeAll(() => {
      vi.stubEnv('FI_OFI_RXM_BUFFER_SIZE', '1024');
    });
    afterAll(() => {
      vi.unstubAllEnvs();
    });
    transportContract({
      name: `${transport} over ${provider} between processes`,
      transport,
      start: participantProcesses(startFile),
      options: { network: { provider } },
      absent: () => Promise.resolve(fabricBinding().fabricTrouble(provider)),
    });
  });
}
