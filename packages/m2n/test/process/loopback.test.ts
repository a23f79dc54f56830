import { participantThreads, transportContract } from '@megascale/core/testing';

const noDeath = 'the end of a thread cannot be seen from another without native code';

transportContract({
  name: 'loopback between threads',
  transport: 'loopback',
  start: participantThreads(new URL('../support/participant.mjs', import.meta.url)),
  skip: {
    'a dead expert rank is ERR_PEER_CLOSED': noDeath,
    'a dead attention rank is ERR_PEER_CLOSED': noDeath,
  },
});
