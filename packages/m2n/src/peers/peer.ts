import type { TransportError } from '@megascale/core';
import { peerLost, type Wait } from './peer-errors.js';
import type { PeerMemory, SharedMemory } from '../memory/shared-memory.js';
import { segmentState, segmentWord } from '../protocol/wire-format.js';

/** Another rank's segment, as control words. */
export class Peer {
  readonly words: Int32Array;

  readonly #source: PeerMemory;
  readonly #memory: SharedMemory;

  constructor(
    /** 'expert rank 1' */
    readonly name: string,
    source: PeerMemory,
    memory: SharedMemory,
  ) {
    this.#source = source;
    this.#memory = memory;
    const wordCount = Math.floor(source.buffer.byteLength / Int32Array.BYTES_PER_ELEMENT);
    this.words = new Int32Array(source.buffer, 0, wordCount);
  }

  get buffer(): ArrayBufferLike {
    return this.#source.buffer;
  }

  get isClosed(): boolean {
    return Atomics.load(this.words, segmentWord.state) === segmentState.closed;
  }

  /** A network cannot reach the owner any more, or refuses what it sends. */
  get isLost(): boolean {
    return Atomics.load(this.words, segmentWord.state) === segmentState.lost;
  }

  /** The error of a wait for a lost peer. */
  loss(wait: Omit<Wait, 'peer'>): TransportError {
    const { code, why } = this.#source.lostBecause?.() ?? {
      code: 'ERR_PEER_CLOSED' as const,
      why: 'it cannot be reached any more',
    };
    return peerLost({ ...wait, peer: this.name, note: why }, code);
  }

  /** Costs a system call. */
  get isAlive(): boolean {
    return this.#source.isAlive();
  }

  /** Call after the words that the owner shall see were stored. */
  ring(): void {
    Atomics.add(this.words, segmentWord.doorbellCount, 1);
    if (Atomics.load(this.words, segmentWord.doorbellParked) !== 0) this.#memory.wake(this.words);
  }
}
