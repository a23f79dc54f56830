// One worker of the kill tests: like participant.mjs, and while it is idle it collects what nothing
// refers to any more.
import { runTransportParticipant } from '@megascale/core/testing';
import { plugin } from '@megascale/m2n';

setInterval(() => globalThis.gc?.(), 20).unref();
await runTransportParticipant(plugin.transports ?? []);
