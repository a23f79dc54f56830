import type { AttentionRank, ExpertRank, TransportOptions } from '@megascale/core';
import type { PortContext, SharedMemory } from '../memory/shared-memory.js';
import type { Frame } from '../protocol/frame.js';
import { FrameReader, FrameWriter, type ReadResult } from '../protocol/frame-ring.js';
import type { PortShape } from '../protocol/port-shape.js';
import type { AttentionSegmentLayout, PairWords } from '../protocol/segment-layout.js';
import { replyWord, replyWords } from '../protocol/wire-format.js';
import { PeerWait, type PeerWaitOptions } from './peer-wait.js';
import type { Peer } from './peer.js';

/** The sending end of one pair's ring. */
export interface FrameSink {
  /** Frames that fit for certain; negative when the reader's word cannot be true. */
  room(): number;
  /**
   * Writes a frame where its reader does not look yet, and sets its sequence number. Call it only
   * while `room()` is positive. Returns the index of the frame's first word.
   */
  put(frame: Frame): number;
  /** Lets the reader see the frame that was put last. */
  publish(): void;
}

/** The receiving end of one pair's ring. */
export interface FrameSource {
  /** Whether the ring holds a frame that was not read. */
  hasFrame(): boolean;
  /**
   * Takes the next frame into `frame`. 'invalid': the memory holds what no writer of this version
   * writes.
   */
  read(frame: Frame): ReadResult;
}

/** Where an expert rank says which frames it has answered. */
export interface ReplySink {
  answer(attentionRank: number, microBatch: number, sequence: number): void;
}

/** Where an attention rank looks for answers. */
export interface ReplySource {
  /** Whether this expert rank has answered the frame with this sequence number. */
  isAnswered(expertRank: number, microBatch: number, sequence: number): boolean;
}

/** All that an attention port sends, receives and waits by. */
export interface AttentionChannels {
  /** [expert ranks] */
  readonly frames: readonly FrameSink[];
  readonly replies: ReplySource;
  createWait(options: PeerWaitOptions): PeerWait;
}

/** All that an expert port receives, sends and waits by. */
export interface ExpertChannels {
  /** [attention ranks] */
  readonly frames: readonly FrameSource[];
  readonly replies: ReplySink;
  createWait(options: PeerWaitOptions): PeerWait;
}

/** An attention rank that has met its peers: its own segment, and theirs. */
export interface AttentionEnd {
  readonly rank: AttentionRank;
  readonly options: TransportOptions;
  readonly shape: PortShape;
  readonly layout: AttentionSegmentLayout;
  /** Own segment, and its control words. */
  readonly buffer: ArrayBufferLike;
  readonly words: Int32Array;
  /** [expert ranks] */
  readonly experts: readonly Peer[];
  readonly memory: SharedMemory;
}

/** An expert rank that has met its peers. */
export interface ExpertEnd {
  readonly rank: ExpertRank;
  readonly options: TransportOptions;
  readonly shape: PortShape;
  /** Of every attention segment. */
  readonly layout: AttentionSegmentLayout;
  /** Own segment. */
  readonly words: Int32Array;
  /** [attention ranks] */
  readonly attention: readonly Peer[];
  readonly memory: SharedMemory;
}

/** Wraps the parts that a port is made of, so that they behave otherwise: see testing/. */
export interface PortDecorator {
  readonly memory?: (memory: SharedMemory, context: PortContext) => SharedMemory;
  readonly attention?: (channels: AttentionChannels, end: AttentionEnd) => AttentionChannels;
  readonly expert?: (channels: ExpertChannels, end: ExpertEnd) => ExpertChannels;
}

/** The channels of an attention port as they are without any decorator. */
export function attentionChannels({ words, layout }: AttentionEnd): AttentionChannels {
  const { pairs } = layout;
  return {
    frames: pairs.map((pair) => new FrameWriter(words, pair)),
    replies: {
      isAnswered(expertRank, microBatch, sequence) {
        const pair = pairs[expertRank];
        if (pair === undefined) return false;
        return Atomics.load(words, replySequenceAt(pair, microBatch)) === sequence;
      },
    },
    createWait: (options) => new PeerWait(options),
  };
}

/** The channels of an expert port as they are without any decorator. */
export function expertChannels({ rank, shape, layout, attention }: ExpertEnd): ExpertChannels {
  const pair = pairOf(layout, rank);
  return {
    frames: attention.map(({ words }) => new FrameReader(words, pair, shape)),
    replies: {
      answer(attentionRank, microBatch, sequence) {
        const peer = attention[attentionRank];
        if (peer === undefined) return;
        Atomics.store(peer.words, replySequenceAt(pair, microBatch), sequence);
      },
    },
    createWait: (options) => new PeerWait(options),
  };
}

/** The index of the word that holds the sequence number last answered. */
export function replySequenceAt(pair: PairWords, microBatch: number): number {
  return pair.replies + microBatch * replyWords + replyWord.sequence;
}

/** What this expert rank shares with the owner of an attention segment. */
export function pairOf(layout: AttentionSegmentLayout, rank: ExpertRank): PairWords {
  const pair = layout.pairs[rank];
  if (pair === undefined) throw new RangeError(`There is no expert rank ${rank}.`);
  return pair;
}
