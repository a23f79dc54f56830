import {
  layerIndex,
  RowList,
  type ExpertInput,
  type ExpertPort,
  type ExpertRank,
  type ExpertSlot,
  type PlacementEpoch,
  type RowSource,
} from '@megascale/core';
import { PartialSummer } from './partial-sums.js';
import { EpochTable } from './epoch-table.js';
import { FrameInbox } from './frame-inbox.js';
import { Gather } from './gather.js';
import {
  at,
  foreignFrameRemedy,
  frameInvalid,
  portClosed,
  slotBusy,
} from '../peers/peer-errors.js';
import type { ExpertChannels, ExpertEnd } from '../peers/channels.js';
import type { PortShape } from '../protocol/port-shape.js';
import { expertSlots, slotExpertIds, slotExpertRanks } from '../peers/slot-views.js';
import { segmentState, segmentWord } from '../protocol/wire-format.js';

/**
 * Expert side of M2N over shared memory. Rows are read and answers written where they lie, in the
 * attention ranks' segments; a reply stores one word per micro-batch.
 */
export class SharedExpertPort implements ExpertPort {
  readonly slots: readonly ExpertSlot[];
  readonly #name: string;
  readonly #gather: Gather;
  readonly #inbox: FrameInbox;
  readonly #epochs: EpochTable;
  readonly #rows: RowList;
  /** [attention ranks × slotCount], in the order of `slots`. */
  readonly #expertIds: readonly Int32Array[];
  readonly #expertRanks: readonly Int32Array[];
  /** [attention ranks × slotCount] what is merged now; reused. */
  readonly #sources: readonly RowSource[];
  /** Under `combine: 'expert'`. */
  readonly #summer: PartialSummer | undefined;
  #state: 'ready' | 'computing' | 'closed' = 'ready';
  #failure: Error | undefined;

  readonly #end: ExpertEnd;
  readonly #channels: ExpertChannels;

  constructor(end: ExpertEnd, channels: ExpertChannels) {
    this.#end = end;
    this.#channels = channels;
    const { rank, options, shape, layout, words, attention, memory } = end;
    this.#name = `expert rank ${rank}`;
    this.slots = attention.flatMap(({ buffer }) => expertSlots(buffer, layout));
    this.#expertIds = attention.flatMap(({ buffer }) => slotExpertIds(buffer, layout));
    this.#expertRanks = attention.flatMap(({ buffer }) => slotExpertRanks(buffer, layout));
    this.#sources = this.slots.map(() => ({
      slotIndex: 0,
      tokens: 0,
      expertIds: new Int32Array(0),
      expertRanks: new Int32Array(0),
      residents: new Uint8Array(0),
    }));
    this.#rows = rowListOf(rank, shape);
    const { placement, placementEpoch: epoch = 0 } = options;
    this.#epochs = new EpochTable(rank, shape, { epoch, placement });
    if (shape.combine === 'expert') {
      const buffers = attention.map(({ buffer }) => buffer);
      this.#summer = new PartialSummer({ rank, shape, layout, buffers });
    }
    this.#gather = new Gather({ ...shape, policy: options.gather });
    const senders = channels.frames.flatMap((frames, sender) => {
      const peer = attention[sender];
      return peer === undefined ? [] : [{ rank: sender, peer, frames }];
    });
    this.#inbox = new FrameInbox({
      name: this.#name,
      memory,
      words,
      senders,
      gather: this.#gather,
      epochs: this.#epochs,
      channels,
      transport: options,
    });
  }

  receive(): ExpertInput | undefined {
    this.#mustBe('ready');
    try {
      if (!this.#inbox.waitForWork()) return undefined;
      const input = this.#merge();
      this.#state = 'computing';
      return input;
    } catch (error) {
      this.#failure = error as Error;
      throw error;
    }
  }

  reply(input: ExpertInput): void {
    this.#mustBe('computing');
    if (input !== this.#rows) {
      throw slotBusy('The input is of another port', 'Reply to the port it was received from.');
    }
    const gather = this.#gather;
    const { servedCount } = gather;
    for (let index = 0; index < servedCount; index++) {
      const served = gather.served[index];
      const peer = served === undefined ? undefined : this.#end.attention[served.attentionRank];
      if (served === undefined || peer === undefined) continue;
      const { slotCount } = this.#end.shape;
      this.#summer?.sumSlot(served.attentionRank * slotCount + served.microBatch, served.tokens);
      this.#channels.replies.answer(served.attentionRank, served.microBatch, served.sequence);
      // One ring for all its micro-batches, which stand side by side.
      const after = index + 1 < servedCount ? gather.served[index + 1] : undefined;
      if (after?.attentionRank !== served.attentionRank) peer.ring();
    }
    this.#inbox.publish();
    this.#state = 'ready';
  }

  learnPlacement(placement: PlacementEpoch): void {
    if (this.#state === 'closed') throw portClosed(this.#name);
    this.#epochs.learn(placement);
  }

  retirePlacements(upTo: number): void {
    if (this.#state === 'closed') throw portClosed(this.#name);
    this.#epochs.retire(upTo);
  }

  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    Atomics.store(this.#end.words, segmentWord.state, segmentState.closed);
    for (const peer of this.#end.attention) peer.ring();
    this.#end.memory.close?.();
  }

  /** The rows of the frames served now, in the order of attention ranks and micro-batches. */
  #merge(): ExpertInput {
    const { servedCount, served } = this.#gather;
    let announced = 0;
    for (let index = 0; index < servedCount; index++) {
      const frame = served[index];
      const source = this.#sources[index];
      if (frame === undefined || source === undefined) continue;
      source.slotIndex = frame.attentionRank * this.#end.shape.slotCount + frame.microBatch;
      source.tokens = frame.tokens;
      source.expertIds = this.#expertIds[source.slotIndex] ?? source.expertIds;
      const expertRanks = this.#expertRanks[source.slotIndex];
      if (expertRanks !== undefined) source.expertRanks = expertRanks;
      const residents = this.#epochs.residentsOf(frame.placementEpoch, frame.layer);
      if (residents === undefined) {
        throw this.#wrongRoutes(`Placement epoch ${frame.placementEpoch} was retired too early.`);
      }
      source.residents = residents;
      announced += frame.rowCount;
    }
    const layer = layerIndex(served[0]?.layer ?? 0);
    let rowCount: number;
    try {
      rowCount = this.#rows.merge(layer, this.#sources, servedCount).rowCount;
    } catch (cause) {
      throw this.#wrongRoutes(cause instanceof Error ? cause.message : String(cause));
    }
    if (rowCount === announced) return this.#rows;
    throw this.#wrongRoutes(`${announced} rows were announced, ${rowCount} are there.`);
  }

  #wrongRoutes(what: string): Error {
    const { served, servedCount } = this.#gather;
    const senders = served
      .slice(0, servedCount)
      .map(({ attentionRank, layer, microBatch }) =>
        at(`attention rank ${attentionRank}`, { layer, microBatch }),
      );
    return frameInvalid(
      `${this.#name} found invalid routes in the slots of ${senders.join(' and ')}. ${what}`.replace(
        /\.$/,
        '',
      ),
      foreignFrameRemedy,
    );
  }

  #mustBe(state: 'ready' | 'computing'): void {
    if (this.#state === 'closed') throw portClosed(this.#name);
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#state === state) return;
    throw slotBusy(`${this.#name} is ${this.#state}`, 'Call receive and reply in turns.');
  }
}

function rowListOf(rank: ExpertRank, shape: PortShape): RowList {
  const { attentionWorkerCount, slotCount, tokensPerSlotMax, topK, expertCount } = shape;
  const rowsMax = attentionWorkerCount * slotCount * tokensPerSlotMax * topK;
  return new RowList({ expertCount, topK, rank, rowsMax });
}
