import { endOfRank, type AttentionAction, type ExpertAction } from '@megascale/core/testing';

/** One worker is killed in a state of the protocol; the other one survives. */
export interface KillState {
  /** 'dispatched, not received' */
  readonly state: string;
  readonly victim: 'attention' | 'expert';
  /**
   * Instead of by an action of its own: when it is told to start, or when all addresses are known.
   */
  readonly killedAt?: 'start' | 'addresses';
  /** What each does once both have opened. */
  readonly attention: readonly AttentionAction[];
  readonly expert: readonly ExpertAction[];
  /** What the survivor's last action throws, or its opening. Without it all goes well. */
  readonly code?: string;
}

const signal = (event: string) => ({ type: 'signal', event }) as const;
const until = (event: string) => ({ type: 'await', event }) as const;
const attentionDied = until(endOfRank('attention', 0));
const expertDied = until(endOfRank('expert', 0));
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
/** Inputs of `sent`. */
const serveSent = { type: 'serve', inputs: 2 } as const;

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
    expert: [attentionDied, serve],
  },
  {
    victim: 'attention',
    state: 'received, not replied',
    attention: [...sent, until('received'), die],
    expert: [{ type: 'receive' }, signal('received'), attentionDied, { type: 'reply' }, serve],
  },
  {
    victim: 'attention',
    state: 'replied, not combined',
    attention: [...sent, until('replied'), die],
    expert: [serveSent, signal('replied'), serve],
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
    attention: [step, { type: 'park' }, until('replied'), die],
    expert: [serveStep, signal('replied'), serve],
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
    attention: [expertDied, failingStep],
  },
  {
    victim: 'expert',
    state: 'dispatched, not received',
    expert: [until('dispatched'), die],
    attention: [...sent, signal('dispatched'), { ...combine, throws: lost }],
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
    attention: [...sent, expertDied, { type: 'combine', microBatch: 1, throws: lost }],
  },
  {
    victim: 'expert',
    state: 'parked',
    expert: [serveStep, die],
    attention: [step, { type: 'park' }, expertDied, failingStep],
  },
  {
    victim: 'expert',
    state: 'closed',
    expert: [serveStep, { type: 'close' }, die],
    attention: [step, failingStep],
  },
];

/** The states that every run of the tests goes through: one of each kind of wait. */
export const quickKillStates = new Set(
  killStates.filter(
    ({ victim, state }) =>
      state === 'received, not replied' ||
      (victim === 'attention' ? state === 'parked' : state === 'dispatched, not received'),
  ),
);
