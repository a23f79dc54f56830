import type { TransportOptions } from '@megascale/core';
import type { Frame, Position } from '../protocol/frame.js';
import { loadLong } from '../protocol/frame-ring.js';
import { replySequenceAt, type AttentionChannels } from '../peers/channels.js';
import {
  at,
  foreignFrameRemedy,
  frameInvalid,
  peerClosed,
  peerTimeout,
} from '../peers/peer-errors.js';
import type { Lookout, PeerWait } from '../peers/peer-wait.js';
import type { Peer } from '../peers/peer.js';
import type { PairWords } from '../protocol/segment-layout.js';
import type { SharedMemory } from '../memory/shared-memory.js';
import type { Ticket } from './ticket.js';
import { ringFrames, segmentWord, stepsMax } from '../protocol/wire-format.js';

/** Readers of a ring do not ring when they make room; how often to look. */
const roomPollUs = 200;

export interface ExpertLinksOptions {
  /** 'attention rank 0' */
  readonly name: string;
  readonly memory: SharedMemory;
  /** Own segment. */
  readonly words: Int32Array;
  /** [expert ranks] */
  readonly pairs: readonly PairWords[];
  readonly experts: readonly Peer[];
  readonly channels: AttentionChannels;
  readonly transport: TransportOptions;
}

/** An attention rank's connections to all expert ranks. Errors thrown from here end the port. */
export class ExpertLinks implements Lookout {
  /** What ended the port. */
  failure: unknown;
  readonly #wait: PeerWait;
  readonly #timeoutUs: number;
  /** [expert ranks] 1 while that rank has got rows and no ring since. */
  readonly #unread: Uint8Array;
  /** The word that a wait is for, and what stood there when it was last looked at. */
  #watchedWord = 0;
  #watchedValue = 0;

  readonly #options: ExpertLinksOptions;

  constructor(options: ExpertLinksOptions) {
    this.#options = options;
    const { name, memory, words, pairs, channels, transport } = options;
    const { spinUs, spinYields = false, clock, stopReason, peerTimeoutMs } = transport;
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
    this.#timeoutUs = peerTimeoutMs * 1000;
    this.#unread = new Uint8Array(pairs.length);
  }

  /** Greatest step that any expert rank has seen in a frame. */
  stepSeen(): number {
    let step = 0;
    for (const { words, name } of this.#options.experts) {
      const seen = loadLong(words, segmentWord.stepSeenLow);
      // No deployment gets there; all other ranks would refuse the steps after it.
      if (seen >= stepsMax)
        this.#fail(frameInvalid(`${name} saw step ${seen}`, foreignFrameRemedy));
      step = Math.max(step, seen);
    }
    return step;
  }

  /**
   * Sends a frame to one expert rank and sets its sequence number. With `moreFollows` another frame
   * comes before anything of this one can be done: a rank that sleeps is left to sleep.
   */
  send(frame: Frame, expert: number, moreFollows: boolean): void {
    const frames = this.#options.channels.frames[expert];
    const peer = this.#options.experts[expert];
    if (frames === undefined || peer === undefined) return;
    const room = frames.room();
    if (room <= 0 && !this.#waitForRoom(frame, expert, peer)) return;
    frames.put(frame);
    frames.publish();
    if (frame.rowCount > 0) this.#unread[expert] = 1;
    if ((!moreFollows && this.#isWorthWaking(frame, expert)) || room < ringFrames / 2) {
      this.#unread[expert] = 0;
      peer.ring();
    }
  }

  /**
   * Whether the expert rank can do something with what it was sent since it was last woken: it has
   * rows, or others may wait for this rank.
   */
  #isWorthWaking(frame: Frame, expert: number): boolean {
    const { attentionWorkerCount } = this.#options.transport;
    return attentionWorkerCount > 1 || frame.type === 'park' || this.#unread[expert] === 1;
  }

  /** Returns when every expert rank that got rows of this ticket has answered. */
  waitForAnswers(ticket: Ticket): void {
    if (this.#missingExpert(ticket) < 0) return;
    this.#wait.begin();
    const untilUs = this.#wait.nowUs + this.#timeoutUs;
    for (;;) {
      const seen = this.#wait.seen();
      const missing = this.#missingExpert(ticket);
      const peer = this.#options.experts[missing];
      if (peer === undefined) return;
      const end = this.#endOf(peer);
      // It may have answered just before its end.
      if (end !== undefined && !this.#wasAnswered(ticket, missing)) {
        this.#fail(this.#endError(ticket, peer, end));
      }
      this.#checkTime(ticket, peer, untilUs);
      this.#sleep(seen, untilUs);
    }
  }

  #watch(word: number, value: number): void {
    this.#watchedWord = word;
    this.#watchedValue = value;
  }

  hasNews(): boolean {
    return Atomics.load(this.#options.words, this.#watchedWord) !== this.#watchedValue;
  }

  ringAll(): void {
    for (const peer of this.#options.experts) peer.ring();
  }

  /** The first expert rank that still owes this ticket an answer, or -1. */
  #missingExpert(ticket: Ticket): number {
    const { pairs, words, channels } = this.#options;
    for (let expert = 0; expert < pairs.length; expert++) {
      if (ticket.owed[expert] === 0) continue;
      const sequence = ticket.sequences[expert] ?? 0;
      if (!channels.replies.isAnswered(expert, ticket.microBatch, sequence)) {
        const word = this.#replyWord(ticket, expert);
        this.#watch(word, Atomics.load(words, word));
        return expert;
      }
      ticket.owed[expert] = 0;
    }
    return -1;
  }

  /** Whether the expert rank has answered, be the answer still under way. */
  #wasAnswered(ticket: Ticket, expert: number): boolean {
    const { words } = this.#options;
    return Atomics.load(words, this.#replyWord(ticket, expert)) === ticket.sequences[expert];
  }

  #replyWord({ microBatch }: Ticket, expert: number): number {
    const pair = this.#options.pairs[expert];
    return pair === undefined ? 0 : replySequenceAt(pair, microBatch);
  }

  /** False when the frame need not be sent: it brings nothing, and the expert rank is closed. */
  #waitForRoom(frame: Frame, expert: number, peer: Peer): boolean {
    this.#wait.begin();
    const untilUs = this.#wait.nowUs + this.#timeoutUs;
    const tail = this.#options.pairs[expert]?.ringTail ?? 0;
    for (;;) {
      this.#watch(tail, Atomics.load(this.#options.words, tail));
      const room = this.#options.channels.frames[expert]?.room() ?? 0;
      if (room < 0)
        this.#fail(frameInvalid(`${peer.name} read frames never sent`, foreignFrameRemedy));
      if (room > 0) return true;
      const end = this.#endOf(peer);
      if (end !== undefined) {
        if (peer.isClosed && frame.rowCount === 0) return false;
        this.#fail(this.#endError(frame, peer, end));
      }
      this.#checkTime(frame, peer, untilUs);
      this.#sleep(this.#wait.seen(), this.#wait.nowUs + roomPollUs);
    }
  }

  #sleep(seen: number, untilUs: number): void {
    try {
      this.#wait.sleep(seen, untilUs);
    } catch (error) {
      this.failure = error;
      throw error;
    }
  }

  #checkTime(position: Omit<Position, 'step'>, peer: Peer, untilUs: number): void {
    if (this.#wait.nowUs < untilUs) return;
    const waitsFor = Atomics.load(peer.words, segmentWord.waitsFor);
    const note = waitsFor > 0 ? `it waits for attention rank ${waitsFor - 1} itself` : undefined;
    this.#fail(peerTimeout(this.#waitOf(position, peer, note)));
  }

  #endOf(peer: Peer): string | undefined {
    if (peer.isClosed) return 'it closed its port';
    if (peer.isLost) return 'it cannot be reached any more';
    return this.#wait.lifeCheckIsDue() && !peer.isAlive ? 'its thread has ended' : undefined;
  }

  #endError(position: Omit<Position, 'step'>, peer: Peer, end: string): Error {
    const wait = this.#waitOf(position, peer, end);
    return peer.isLost ? peer.loss(wait) : peerClosed(wait);
  }

  #waitOf(position: Omit<Position, 'step'>, peer: Peer, note: string | undefined) {
    const waiter = at(this.#options.name, position);
    return { waiter, peer: peer.name, waitedMs: this.#wait.waitedMs, note };
  }

  #fail(error: Error): never {
    this.failure = error;
    throw error;
  }
}
