import type { TransportOptions } from '@megascale/core';
import { createFrame } from '../protocol/frame.js';
import type { ExpertChannels, FrameSource } from '../peers/channels.js';
import { storeLong } from '../protocol/frame-ring.js';
import type { EpochTable } from './epoch-table.js';
import type { Gather } from './gather.js';
import {
  at,
  foreignFrameRemedy,
  frameInvalid,
  peerClosed,
  peerTimeout,
} from '../peers/peer-errors.js';
import type { Lookout, PeerWait } from '../peers/peer-wait.js';
import type { Peer } from '../peers/peer.js';
import type { SharedMemory } from '../memory/shared-memory.js';
import { segmentWord } from '../protocol/wire-format.js';

/** One attention rank, as an expert rank sees it. */
export interface Sender {
  readonly rank: number;
  readonly peer: Peer;
  readonly frames: FrameSource;
}

export interface FrameInboxOptions {
  /** 'expert rank 1' */
  readonly name: string;
  readonly memory: SharedMemory;
  /** Own segment. */
  readonly words: Int32Array;
  /** [attention ranks] */
  readonly senders: readonly Sender[];
  readonly gather: Gather;
  readonly epochs: EpochTable;
  readonly channels: ExpertChannels;
  readonly transport: TransportOptions;
}

/** Reads the frames of all attention ranks and waits until the gather has something to serve. */
export class FrameInbox implements Lookout {
  readonly #wait: PeerWait;
  readonly #timeoutUs: number;
  readonly #frame = createFrame();
  readonly #open: Uint8Array;
  /** What is served depends on when frames came. */
  readonly #readsClock: boolean;
  #publishedStep = 0;
  #publishedWaitsFor = 0;
  /** The wait for one attention rank, between two of its frames. */
  #waitsForRank = -1;
  #waitsSinceUs = 0;
  #waitsSinceArrivals = 0;

  readonly #options: FrameInboxOptions;

  constructor(options: FrameInboxOptions) {
    this.#options = options;
    const { name, memory, words, channels, transport } = options;
    const { clock, spinUs, spinYields = false, stopReason, peerTimeoutMs } = transport;
    this.#wait = channels.createWait({
      name,
      memory,
      words,
      lookout: this,
      spinUs,
      spinYields,
      clock,
      stopReason,
    });
    this.#readsClock = transport.gather.type === 'window';
    this.#timeoutUs = peerTimeoutMs * 1000;
    this.#open = new Uint8Array(options.senders.length).fill(1);
  }

  /**
   * True with something in `gather.served`, false once every attention rank has closed. There is no
   * deadline while nothing is held.
   *
   * @throws TransportError 'ERR_PEER_TIMEOUT', 'ERR_PEER_CLOSED', 'ERR_FRAME_INVALID'
   */
  waitForWork(): boolean {
    const { gather } = this.#options;
    this.#wait.begin();
    this.#waitsForRank = -1;
    for (;;) {
      const seen = this.#wait.seen();
      const arrivedUs = this.#readsClock ? this.#wait.nowUs : 0;
      this.#readAll(arrivedUs);
      const decision = gather.decide(arrivedUs);
      if (decision === 'serve') return true;
      if (decision === 'ended') return false;
      this.publish();
      const nowUs = this.#wait.nowUs;
      const untilUs = Math.min(gather.waitsUntilUs, this.#deadline(nowUs));
      if (this.#wait.lifeCheckIsDue()) this.#checkLives();
      this.#wait.sleep(seen, untilUs);
    }
  }

  hasNews(): boolean {
    for (const { rank, frames } of this.#options.senders) {
      if (this.#open[rank] === 1 && frames.hasFrame()) return true;
    }
    return false;
  }

  #readAll(nowUs: number): void {
    for (const sender of this.#options.senders) {
      if (this.#open[sender.rank] === 0) continue;
      if (sender.peer.isClosed) {
        this.#open[sender.rank] = 0;
        this.#options.gather.close(sender.rank);
      } else if (sender.peer.isLost) {
        throw sender.peer.loss(this.#waitFor(sender.rank, this.#wait.waitedMs * 1000));
      } else {
        this.#read(sender, nowUs);
      }
    }
  }

  #read(sender: Sender, nowUs: number): void {
    const { epochs, name } = this.#options;
    for (;;) {
      const result = sender.frames.read(this.#frame);
      if (result === 'empty') return;
      if (result === 'frame' && !epochs.admits(sender.rank, this.#frame)) {
        throw epochs.refusal(name, sender.peer.name, this.#frame);
      }
      if (result === 'frame' && this.#options.gather.arrive(sender.rank, this.#frame, nowUs))
        continue;
      throw frameInvalid(
        `${this.#options.name} found an invalid frame of ${sender.peer.name}`,
        foreignFrameRemedy,
      );
    }
  }

  /**
   * For attention ranks: the greatest step seen, and whom this rank waits for. Stored only when
   * they change, before a wait and after a reply: neither holds another rank up.
   */
  publish(): void {
    const { words, gather } = this.#options;
    if (gather.stepSeen !== this.#publishedStep) {
      this.#publishedStep = gather.stepSeen;
      storeLong(words, segmentWord.stepSeenLow, gather.stepSeen);
    }
    if (gather.waitsForRank + 1 !== this.#publishedWaitsFor) {
      this.#publishedWaitsFor = gather.waitsForRank + 1;
      Atomics.store(words, segmentWord.waitsFor, this.#publishedWaitsFor);
    }
  }

  /** When the rank that the gather waits for will have been silent for too long. */
  #deadline(nowUs: number): number {
    const { gather } = this.#options;
    const rank = gather.waitsForRank;
    if (rank < 0) {
      this.#waitsForRank = -1;
      return Number.POSITIVE_INFINITY;
    }
    if (rank !== this.#waitsForRank || gather.arrivalsOf(rank) !== this.#waitsSinceArrivals) {
      this.#waitsForRank = rank;
      this.#waitsSinceUs = nowUs;
      this.#waitsSinceArrivals = gather.arrivalsOf(rank);
    }
    const untilUs = this.#waitsSinceUs + this.#timeoutUs;
    if (nowUs >= untilUs) throw peerTimeout(this.#waitFor(rank, nowUs - this.#waitsSinceUs));
    return untilUs;
  }

  #checkLives(): void {
    for (const { rank, peer } of this.#options.senders) {
      if (this.#open[rank] === 0 || peer.isAlive || peer.isClosed) continue;
      const waitedUs = this.#wait.waitedMs * 1000;
      throw peerClosed({ ...this.#waitFor(rank, waitedUs), note: 'its thread has ended' });
    }
  }

  #waitFor(rank: number, waitedUs: number) {
    const { name, gather, senders } = this.#options;
    const held = gather.leastHeld();
    return {
      waiter: held === undefined ? name : at(name, held),
      peer: senders[rank]?.peer.name ?? `attention rank ${rank}`,
      waitedMs: waitedUs / 1000,
    };
  }
}
