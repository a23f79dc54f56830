import type {
  AttentionPort,
  AttentionSlot,
  ExpertPort,
  TransportFactory,
  TransportOptions,
} from '@megascale/core';
import { FaultyAttentionPort, FaultyExpertPort } from './faulty-ports.js';
import { damageFrame, type FrameDamage } from './faulty-frame.js';
import { frameTap, type FrameTap, type TappedOptions } from './frame-tap.js';

/** What goes wrong, and when. Counts start at 0 and run over the life of a port. */
export type Fault =
  /** An attention rank's frame number `frame` to one expert rank comes damaged. */
  | {
      readonly type: FrameDamage;
      readonly attention: number;
      readonly expert: number;
      readonly frame: number;
    }
  /** A rank stops before its message number `message` (dispatch or reply): for so long, or until `stopReason` gives one. */
  | {
      readonly type: 'stall';
      readonly role: 'attention' | 'expert';
      readonly rank: number;
      readonly message: number;
      readonly ms?: number;
    }
  /** A rank's port vanishes before that message, without a word to its peers. Its own calls throw 'ERR_PEER_CLOSED'. */
  | {
      readonly type: 'loss';
      readonly role: 'attention' | 'expert';
      readonly rank: number;
      readonly message: number;
    };

export interface FaultPlan {
  /** Of which words and bits are damaged. Default 0. */
  readonly seed?: number;
  readonly faults: readonly Fault[];
  /** How a rank that stalls lets time go by. Default: it sleeps. */
  readonly sleep?: (ms: number) => void;
}

/** `factory` with faults that come when the plan says, for tests of what lives above a transport of this package. */
export function withFaults(factory: TransportFactory, plan: FaultPlan): TransportFactory {
  const { seed = 0, faults, sleep = sleepMs } = plan;
  const partsOf = (role: 'attention' | 'expert', rank: number, options: TransportOptions) => ({
    name: `${role} rank ${rank}`,
    options,
    sleep,
    faults: faults.flatMap((fault) =>
      'role' in fault && fault.role === role && fault.rank === rank ? [fault] : [],
    ),
  });
  return {
    ...factory,
    probe: () => factory.probe(),

    async openAttention(rank, options): Promise<AttentionPort> {
      let slots: readonly AttentionSlot[] = [];
      const own = faults.flatMap((fault) =>
        'attention' in fault && fault.attention === rank ? [fault] : [],
      );
      const tap: FrameTap = (words, start, frame, expert) => {
        for (const fault of own) {
          if (fault.expert !== expert || frame.sequence !== fault.frame + 1) continue;
          damageFrame({ words, start, frame, slots, type: fault.type, seed });
        }
      };
      // A tap sees frames without the stamps of an emulated link: only who damages any has one.
      const tapped: TappedOptions = own.length === 0 ? options : { ...options, [frameTap]: tap };
      const port = await factory.openAttention(rank, tapped);
      slots = port.slots;
      return new FaultyAttentionPort(port, partsOf('attention', rank, options));
    },

    async openExpert(rank, options): Promise<ExpertPort> {
      const port = await factory.openExpert(rank, options);
      return new FaultyExpertPort(port, partsOf('expert', rank, options));
    },
  };
}

function sleepMs(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
