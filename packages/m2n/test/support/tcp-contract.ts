import {
  transportContract,
  type Participant,
  type PlainTransportOptions,
} from '@megascale/core/testing';
import { tcp } from '../../src/transports/tcp.js';

/** The contract over TCP connections of this machine. */
export function tcpContract(
  name: string,
  start: () => Participant,
  options: Partial<PlainTransportOptions> = {},
): void {
  transportContract({
    name,
    transport: 'tcp',
    start,
    options,
    absent: async () => {
      const probe = await tcp.probe();
      return probe.available ? undefined : probe.reason;
    },
  });
}
