import {
  participantProcesses,
  participantThreads,
  transportContract,
} from '@megascale/core/testing';
import { describe } from 'vitest';
import { tcp } from '../../src/transports/tcp.js';

const startFile = new URL('../support/participant.mjs', import.meta.url);

const absent = async (): Promise<string | undefined> => {
  const probe = await tcp.probe();
  return probe.available ? undefined : probe.reason;
};

describe('tcp', () => {
  const common = { transport: 'tcp', absent };
  transportContract({
    name: 'tcp between threads',
    start: participantThreads(startFile),
    ...common,
  });
  transportContract({
    name: 'tcp between processes, with a key, over IPv6',
    start: participantProcesses(startFile),
    options: { network: { preSharedKey: 'a secret of at least sixteen bytes', host: '::1' } },
    ...common,
  });
});
