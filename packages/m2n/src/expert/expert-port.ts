import {
  layerIndex,
  RowList,
  type ExpertInput,
  type ExpertPort,
  type ExpertRank,
  type ExpertSlot,
  type PlacementEpoch,
  type RowSource,
  type TransportOptions,
} from '@megascale/core';
import { PartialSummer } from './partial-sums.js';
import { DelayedFrameReader } from '../testing/emulated-link-frames.js';
import { EpochTable } from './epoch-table.js';
import { FrameInbox } from './frame-inbox.js';
import { FrameReader, storeLong } from '../protocol/frame-ring.js';
import { Gather } from './gather.js';
import {
  at,
  foreignFrameRemedy,
  frameInvalid,
  portClosed,
  slotBusy,
} from '../peers/peer-errors.js';
import type { Peer } from '../peers/peer.js';
import type { PortShape } from '../protocol/port-shape.js';
import type { AttentionSegmentLayout, PairWords } from '../protocol/segment-layout.js';
import type { SharedMemory } from '../memory/shared-memory.js';
import { expertSlots, slotExpertIds, slotExpertRanks } from '../peers/slot-views.js';
import { replyWord, replyWords, segmentState, segmentWord } from '../protocol/wire-format.js';

export interface ExpertPortParts {
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

/**
 * Expert side of M2N over shared memory. Rows are read and answers written where they lie, in the
 * attention ranks' segments; a reply stores one word per micro-batch.
 */
export class SharedExpertPort implements ExpertPort {
  readonly slots: readonly ExpertSlot[];
  private readonly name: string;
  private readonly pair: PairWords;
  private readonly gather: Gather;
  private readonly inbox: FrameInbox;
  private readonly epochs: EpochTable;
  private readonly rows: RowList;
  /** [attention ranks × slotCount], in the order of `slots`. */
  private readonly expertIds: readonly Int32Array[];
  private readonly expertRanks: readonly Int32Array[];
  /** [attention ranks × slotCount] what is merged now; reused. */
  private readonly sources: readonly RowSource[];
  /** Under `combine: 'expert'`. */
  private readonly summer: PartialSummer | undefined;
  /** Over an emulated link. */
  private readonly stampsAnswers: boolean;
  private state: 'ready' | 'computing' | 'closed' = 'ready';
  private failure: Error | undefined;

  constructor(private readonly parts: ExpertPortParts) {
    const { rank, options, shape, layout, words, attention, memory } = parts;
    this.pair = pairOf(layout, rank);
    this.name = `expert rank ${rank}`;
    this.slots = attention.flatMap(({ buffer }) => expertSlots(buffer, layout));
    this.expertIds = attention.flatMap(({ buffer }) => slotExpertIds(buffer, layout));
    this.expertRanks = attention.flatMap(({ buffer }) => slotExpertRanks(buffer, layout));
    this.sources = this.slots.map(() => ({
      slotIndex: 0,
      tokens: 0,
      expertIds: new Int32Array(0),
      expertRanks: new Int32Array(0),
      residents: new Uint8Array(0),
    }));
    this.rows = rowListOf(rank, shape);
    const { placement, placementEpoch: epoch = 0 } = options;
    this.epochs = new EpochTable(rank, shape, { epoch, placement });
    if (shape.combine === 'expert') {
      const buffers = attention.map(({ buffer }) => buffer);
      this.summer = new PartialSummer({ rank, shape, layout, buffers });
    }
    this.stampsAnswers = options.emulatedLink !== undefined;
    this.gather = new Gather({ ...shape, policy: options.gather });
    const senders = attention.map((peer, index) => ({
      rank: index,
      peer,
      reader: frameReader(parts, index, peer),
    }));
    const { gather, epochs, name } = this;
    const context = { name, memory, words, transport: options };
    this.inbox = new FrameInbox({ ...context, senders, gather, epochs });
  }

  receive(): ExpertInput | undefined {
    this.mustBe('ready');
    try {
      if (!this.inbox.waitForWork()) return undefined;
      const input = this.merge();
      this.state = 'computing';
      return input;
    } catch (error) {
      this.failure = error as Error;
      throw error;
    }
  }

  reply(input: ExpertInput): void {
    this.mustBe('computing');
    if (input !== this.rows) {
      throw slotBusy('The input is of another port', 'Reply to the port it was received from.');
    }
    const { gather } = this;
    const { servedCount } = gather;
    for (let index = 0; index < servedCount; index++) {
      const served = gather.served[index];
      const peer = served === undefined ? undefined : this.parts.attention[served.attentionRank];
      if (served === undefined || peer === undefined) continue;
      const { slotCount } = this.parts.shape;
      this.summer?.sumSlot(served.attentionRank * slotCount + served.microBatch, served.tokens);
      const reply = this.pair.replies + served.microBatch * replyWords;
      if (this.stampsAnswers) this.stamp(peer, reply);
      Atomics.store(peer.words, reply + replyWord.sequence, served.sequence);
      // One ring for all its micro-batches, which stand side by side.
      const after = index + 1 < servedCount ? gather.served[index + 1] : undefined;
      if (after?.attentionRank !== served.attentionRank) peer.ring();
    }
    this.inbox.publish();
    this.state = 'ready';
  }

  learnPlacement(placement: PlacementEpoch): void {
    if (this.state === 'closed') throw portClosed(this.name);
    this.epochs.learn(placement);
  }

  retirePlacements(upTo: number): void {
    if (this.state === 'closed') throw portClosed(this.name);
    this.epochs.retire(upTo);
  }

  close(): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    Atomics.store(this.parts.words, segmentWord.state, segmentState.closed);
    for (const peer of this.parts.attention) peer.ring();
    this.parts.memory.close?.();
  }

  private stamp(peer: Peer, reply: number): void {
    const sentUs = Math.ceil(this.parts.options.clock.nowUs());
    storeLong(peer.words, reply + replyWord.sentUsLow, sentUs);
  }

  /** The rows of the frames served now, in the order of attention ranks and micro-batches. */
  private merge(): ExpertInput {
    const { servedCount, served } = this.gather;
    let announced = 0;
    for (let index = 0; index < servedCount; index++) {
      const frame = served[index];
      const source = this.sources[index];
      if (frame === undefined || source === undefined) continue;
      source.slotIndex = frame.attentionRank * this.parts.shape.slotCount + frame.microBatch;
      source.tokens = frame.tokens;
      source.expertIds = this.expertIds[source.slotIndex] ?? source.expertIds;
      const expertRanks = this.expertRanks[source.slotIndex];
      if (expertRanks !== undefined) source.expertRanks = expertRanks;
      const residents = this.epochs.residentsOf(frame.placementEpoch, frame.layer);
      if (residents === undefined) {
        throw this.wrongRoutes(`Placement epoch ${frame.placementEpoch} was retired too early.`);
      }
      source.residents = residents;
      announced += frame.rowCount;
    }
    const layer = layerIndex(served[0]?.layer ?? 0);
    let rowCount: number;
    try {
      rowCount = this.rows.merge(layer, this.sources, servedCount).rowCount;
    } catch (cause) {
      throw this.wrongRoutes(cause instanceof Error ? cause.message : String(cause));
    }
    if (rowCount === announced) return this.rows;
    throw this.wrongRoutes(`${announced} rows were announced, ${rowCount} are there.`);
  }

  private wrongRoutes(what: string): Error {
    const { served, servedCount } = this.gather;
    const senders = served
      .slice(0, servedCount)
      .map(({ attentionRank, layer, microBatch }) =>
        at(`attention rank ${attentionRank}`, { layer, microBatch }),
      );
    return frameInvalid(
      `${this.name} found invalid routes in the slots of ${senders.join(' and ')}. ${what}`.replace(
        /\.$/,
        '',
      ),
      foreignFrameRemedy,
    );
  }

  private mustBe(state: 'ready' | 'computing'): void {
    if (this.state === 'closed') throw portClosed(this.name);
    if (this.failure !== undefined) throw this.failure;
    if (this.state === state) return;
    throw slotBusy(`${this.name} is ${this.state}`, 'Call receive and reply in turns.');
  }
}

function frameReader(parts: ExpertPortParts, attentionRank: number, peer: Peer): FrameReader {
  const { rank, options, shape, layout } = parts;
  const pair = pairOf(layout, rank);
  if (options.emulatedLink === undefined) return new FrameReader(peer.words, pair, shape);
  return new DelayedFrameReader({
    words: peer.words,
    pair,
    shape,
    attentionRank,
    expertRank: rank,
    expertRanks: slotExpertRanks(peer.buffer, layout),
    transport: options,
  });
}

function pairOf(layout: AttentionSegmentLayout, rank: ExpertRank): PairWords {
  const pair = layout.pairs[rank];
  if (pair === undefined) throw new RangeError(`There is no expert rank ${rank}.`);
  return pair;
}

function rowListOf(rank: ExpertRank, shape: PortShape): RowList {
  const { attentionWorkerCount, slotCount, tokensPerSlotMax, topK, expertCount } = shape;
  const rowsMax = attentionWorkerCount * slotCount * tokensPerSlotMax * topK;
  return new RowList({ expertCount, topK, rank, rowsMax });
}
