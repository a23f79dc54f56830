import {
  attentionRank,
  expertRank,
  type AttentionPort,
  type Clock,
  type ExpertPort,
  type TransportOptions,
} from '@megascale/core';
import { SharedAttentionPort } from '../../src/attention/attention-port.js';
import { SharedExpertPort } from '../../src/expert/expert-port.js';
import {
  attentionChannels,
  expertChannels,
  type AttentionEnd,
  type ExpertEnd,
} from '../../src/peers/channels.js';
import { Peer } from '../../src/peers/peer.js';
import { portShape } from '../../src/protocol/port-shape.js';
import {
  attentionSegmentLayout,
  expertSegmentBytes,
  type AttentionSegmentLayout,
} from '../../src/protocol/segment-layout.js';
import type { DoorbellWait, SharedMemory } from '../../src/memory/shared-memory.js';
import type { PortOptions } from './one-thread.js';

/**
 * A clock that waits move on: what would take for ever ends at once, by a limit or by `stopReason`.
 */
class WaitingClock implements Clock {
  timeUs = 0;
  nowUs(): number {
    return this.timeUs++;
  }
  wallMs(): number {
    return 0;
  }
}

const patienceUs = 10_000_000;

export const fuzzShape: PortOptions = {
  attentionWorkerCount: 1,
  expertWorkerCount: 2,
  placement: [[[expertRank(0)], [expertRank(1)], [expertRank(0)]]],
  layerCount: 2,
  hiddenSize: 4,
  topK: 2,
  dtype: 'f32',
  tokensPerSlotMax: 3,
  slotCount: 2,
  peerTimeoutMs: 1000,
  spinUs: 0,
  gather: { type: 'lockstep' },
};

/**
 * One attention rank and two expert ranks in one thread, and the memory between them for a test to
 * write.
 */
export interface FuzzPair {
  readonly attention: AttentionPort;
  readonly experts: readonly ExpertPort[];
  readonly layout: AttentionSegmentLayout;
  /** The attention rank's segment. */
  readonly words: Int32Array;
  /** [expert ranks] their segments. */
  readonly expertWords: readonly Int32Array[];
}

/** Segments that one pair after the other uses, so that many can be had. */
export class FuzzPairs {
  readonly #shape = portShape(fuzzShape as Parameters<typeof portShape>[0]);
  readonly #layout = attentionSegmentLayout(this.#shape);
  readonly #buffer: ArrayBufferLike;
  readonly #expertBuffers: readonly ArrayBufferLike[];

  readonly #memory: SharedMemory;

  constructor(memory: SharedMemory) {
    this.#memory = memory;
    const create = (byteLength: number): ArrayBufferLike => {
      const owned = memory.create(byteLength);
      owned.unlist();
      return owned.buffer;
    };
    this.#buffer = create(this.#layout.byteLength);
    this.#expertBuffers = [0, 1].map(() => create(expertSegmentBytes(this.#shape)));
  }

  /** Ports as they are after opening; those handed out before are of no use any more. */
  next(changes: Partial<PortOptions> = {}): FuzzPair {
    const shape = this.#shape;
    const layout = this.#layout;
    const buffer = this.#buffer;
    const expertBuffers = this.#expertBuffers;
    for (const each of [buffer, ...expertBuffers]) new Uint8Array(each).fill(0);
    const clock = new WaitingClock();
    const memory: SharedMemory = {
      ...this.#memory,
      waitForRing: (_: Int32Array, { timeoutUs }: DoorbellWait) => {
        clock.timeUs += timeoutUs + 1;
      },
    };
    const options: TransportOptions = {
      ...fuzzShape,
      ...changes,
      clock,
      stopReason: () => (clock.timeUs > patienceUs ? 'nothing comes any more' : undefined),
      allocate: () => {
        throw new Error('Nothing is allocated after opening.');
      },
      rendezvous: { exchange: () => Promise.reject(new Error('The ports are open.')) },
    };
    const peerOf = (name: string, own: ArrayBufferLike) =>
      new Peer(name, { buffer: own, isAlive: () => true }, memory);
    const common = { options, shape, layout, memory };
    return {
      layout,
      words: new Int32Array(buffer),
      expertWords: expertBuffers.map((each) => new Int32Array(each)),
      attention: attentionPort({
        ...common,
        rank: attentionRank(0),
        buffer,
        words: new Int32Array(buffer),
        experts: expertBuffers.map((each, rank) => peerOf(`expert rank ${rank}`, each)),
      }),
      experts: expertBuffers.map((each, rank) =>
        expertPort({
          ...common,
          rank: expertRank(rank),
          words: new Int32Array(each),
          attention: [peerOf('attention rank 0', buffer)],
        }),
      ),
    };
  }
}

function attentionPort(end: AttentionEnd): AttentionPort {
  return new SharedAttentionPort(end, attentionChannels(end));
}

function expertPort(end: ExpertEnd): ExpertPort {
  return new SharedExpertPort(end, expertChannels(end));
}
