import type { AttentionAction, ExpertAction } from '@megascale/core/testing';

/** One worker is killed in a state of the protocol; the other one survives. */
export interface KillState {
  /** 'dispatched, not received' */
  readonly state: string;
  readonly victim: 'attention' | 'expert';
  /** Instead of by an action of its own: when it is told to start, or when everybody's addresses are known. */
  readonly killedAt?: 'start' | 'addresses';
  /** What each does once both have opened. */
  readonly attention: readonly AttentionAction[];
  readonly expert: readonly ExpertAction[];
  /** What the survivor's last action throws, or its opening. Without it all goes well. */
  readonly code?: string;
}

/** Time for the other worker to come as far as its script says. */
const pause = { type: 'sleep', ms: 250 } as const;
const longPause = { type: 'sleep', ms: 1000 } as const;
const die = { type: 'die' } as const;
const lost = 'ERR_PEER_CLOSED';

const begin = { type: 'begin-step', microBatches: [0, 1] } as const;
const dispatch = { type: 'dispatch', layer: 0, microBatch: 0, tokens: 3 } as const;
const second = { ...dispatch, microBatch: 1 } as const;
const combine = { type: 'combine', microBatch: 0 } as const;
const sent = [begin, dispatch, second] as const;
const step = { type: 'step', tokens: [3, 4] } as const;
const failingStep = { ...step, throws: lost } as const;
/** Until the end of the attention worker, which is an error. */
const serve = { type: 'serve', throws: lost } as const;
/** Inputs of `step` over two layers. */
const serveStep = { type: 'serve', inputs: 4 } as const;

export const killStates: readonly KillState[] = [
  {
    victim: 'attention',
    state: 'before its address is known',
    killedAt: 'start',
    attention: [],
    expert: [],
    code: lost,
  },
  {
    victim: 'attention',
    state: 'once addresses are known',
    killedAt: 'addresses',
    attention: [],
    expert: [],
    code: lost,
  },
  { victim: 'attention', state: 'open, idle', attention: [die], expert: [serve] },
  { victim: 'attention', state: 'step begun', attention: [begin, die], expert: [serve] },
  {
    victim: 'attention',
    state: 'dispatched, not received',
    attention: [...sent, die],
    expert: [pause, serve],
  },
  {
    victim: 'attention',
    state: 'received, not replied',
    attention: [...sent, longPause, die],
    expert: [{ type: 'receive' }, longPause, longPause, { type: 'reply' }, serve],
  },
  {
    victim: 'attention',
    state: 'replied, not combined',
    attention: [...sent, pause, die],
    expert: [serve],
  },
  {
    victim: 'attention',
    state: 'combined, not released',
    attention: [...sent, combine, die],
    expert: [serve],
  },
  {
    victim: 'attention',
    state: 'parked',
    attention: [step, { type: 'park' }, pause, die],
    expert: [serve],
  },
  {
    victim: 'attention',
    state: 'closed',
    attention: [step, { type: 'close' }, die],
    expert: [{ type: 'serve' }],
  },
  {
    victim: 'expert',
    state: 'before its address is known',
    killedAt: 'start',
    attention: [],
    expert: [],
    code: lost,
  },
  {
    victim: 'expert',
    state: 'once addresses are known',
    killedAt: 'addresses',
    attention: [],
    expert: [],
    code: lost,
  },
  {
    victim: 'expert',
    state: 'open, idle',
    expert: [die],
    attention: [pause, failingStep],
  },
  {
    victim: 'expert',
    state: 'dispatched, not received',
    expert: [pause, die],
    attention: [...sent, { ...combine, throws: lost }],
  },
  {
    victim: 'expert',
    state: 'received, not replied',
    expert: [{ type: 'receive' }, die],
    attention: [failingStep],
  },
  {
    victim: 'expert',
    state: 'replied, not combined',
    expert: [{ type: 'receive' }, { type: 'reply' }, die],
    attention: [...sent, pause, { type: 'combine', microBatch: 1, throws: lost }],
  },
  {
    victim: 'expert',
    state: 'parked',
    expert: [serveStep, die],
    attention: [step, { type: 'park' }, pause, failingStep],
  },
  {
    victim: 'expert',
    state: 'closed',
    expert: [serveStep, { type: 'close' }, die],
    attention: [step, failingStep],
  },
];
