import {
  ConfigError,
  type AttentionPort,
  type ExpertPort,
  type TransportFactory,
  type TransportOptions,
} from '@megascale/core';
import type { PortDecorator } from '../peers/channels.js';
import type { SharedMemoryTransport } from '../transports/transport.js';
import { damagedFrames, type FrameFault } from './faulty-frame.js';
import { FaultyAttentionPort, FaultyExpertPort } from './faulty-ports.js';

/** What goes wrong, and when. Counts start at 0 and run over the life of a port. */
export type Fault =
  | FrameFault
  /**
   * A rank stops before its message number `message` (dispatch or reply): for so long, or until
   * `stopReason` gives one.
   */
  | {
      readonly type: 'stall';
      readonly role: 'attention' | 'expert';
      readonly rank: number;
      readonly message: number;
      readonly ms?: number;
    }
  /**
   * A rank's port vanishes before that message, without a word to its peers. Its own calls throw
   * 'ERR_PEER_CLOSED'.
   */
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

/**
 * `factory`, going wrong where the plan says so: for tests of what lives above a transport.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' when the plan damages frames and `factory` is not a
 * transport of this package.
 */
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
  const damage = faults.flatMap((fault) => ('attention' in fault ? [fault] : []));
  const damaged = damage.length === 0 ? factory : decorated(factory, damagedFrames(damage, seed));
  return {
    ...factory,
    probe: () => factory.probe(),

    async openAttention(rank, options): Promise<AttentionPort> {
      const port = await damaged.openAttention(rank, options);
      return new FaultyAttentionPort(port, partsOf('attention', rank, options));
    },

    async openExpert(rank, options): Promise<ExpertPort> {
      const port = await damaged.openExpert(rank, options);
      return new FaultyExpertPort(port, partsOf('expert', rank, options));
    },
  };
}

function decorated(factory: TransportFactory, decorator: PortDecorator): TransportFactory {
  if ('decorated' in factory) return (factory as SharedMemoryTransport).decorated(decorator);
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `Frames of the transport '${factory.name}' cannot be damaged. Use one of @megascale/m2n.`,
    details: { field: 'faults', transport: factory.name },
  });
}

function sleepMs(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
