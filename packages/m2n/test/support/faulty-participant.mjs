// One worker of the fault tests, as a thread or a process: like participant.mjs, over each
// transport with each plan of faults.
import { runTransportParticipant } from '@megascale/core/testing';
import { plugin } from '@megascale/m2n';
import { withFaults } from '@megascale/m2n/testing';
import { faultCases } from './fault-cases.mjs';

const factories = (plugin.transports ?? []).flatMap((factory) =>
  Object.entries(faultCases).flatMap(([name, faults]) =>
    [0, 1, 2, 3].map((seed) => ({
      ...withFaults(factory, { seed, faults }),
      name: `${factory.name} with ${name} ${seed}`,
    })),
  ),
);
await runTransportParticipant(factories);
