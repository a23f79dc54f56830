// One worker of the transport contract, as a thread or a process: plays what the suite sends.
import { runTransportParticipant } from '@megascale/core/testing';
import { plugin } from '@megascale/m2n';
import { fabricApart } from '@megascale/m2n/testing';

await runTransportParticipant([...(plugin.transports ?? []), fabricApart]);
