import {
  compareLayers,
  TransportError,
  type AttentionPort,
  type AttentionSlot,
  type DispatchTicket,
  type LayerIndex,
  type MicroBatchIndex,
  type PlacementEpoch,
} from '@megascale/core';
import { PartialRows } from './partial-rows.js';
import { ExpertLinks } from './expert-links.js';
import { createFrame } from '../protocol/frame.js';
import { at, frameInvalid, portClosed } from '../peers/peer-errors.js';
import type { AttentionChannels, AttentionEnd } from '../peers/channels.js';
import { RouteCounter } from './route-counter.js';
import { attentionSlots, slotExpertIds, slotExpertRanks } from '../peers/slot-views.js';
import { StepCursor } from './step-cursor.js';
import { TicketTable } from './ticket.js';
import { segmentState, segmentWord } from '../protocol/wire-format.js';

/**
 * Attention side of M2N over shared memory. The slots lie in this rank's own segment, where expert
 * ranks read rows and write answers in place; a dispatch sends frames of one cache line that tell
 * them to look.
 */
export class SharedAttentionPort implements AttentionPort {
  readonly slots: readonly AttentionSlot[];
  readonly #name: string;
  readonly #tickets: TicketTable;
  readonly #routes: RouteCounter;
  readonly #cursor: StepCursor;
  readonly #links: ExpertLinks;
  /** Under `combine: 'expert'`. */
  readonly #partialRows: PartialRows | undefined;
  readonly #frame = createFrame();
  /** Expert ranks start when a layer is whole: they need not be woken before. */
  readonly #gathersLayers: boolean;
  #parked = true;
  #closed = false;

  readonly #end: AttentionEnd;

  constructor(end: AttentionEnd, channels: AttentionChannels) {
    this.#end = end;
    const { rank, options, shape, layout, buffer, words, experts, memory } = end;
    this.#name = `attention rank ${rank}`;
    this.#gathersLayers = options.gather.type === 'layer';
    this.slots = attentionSlots(buffer, layout);
    this.#tickets = new TicketTable(shape.slotCount, shape.expertWorkerCount);
    this.#routes = new RouteCounter(options, shape, {
      expertIds: slotExpertIds(buffer, layout),
      expertRanks: slotExpertRanks(buffer, layout),
    });
    if (shape.combine === 'expert') this.#partialRows = PartialRows.of(buffer, layout, shape);
    this.#cursor = new StepCursor(shape.layerCount, shape.slotCount);
    this.#links = new ExpertLinks({
      name: this.#name,
      memory,
      words,
      pairs: layout.pairs,
      experts,
      channels,
      transport: options,
    });
  }

  beginStep(microBatches: readonly MicroBatchIndex[]): void {
    this.#mustBeOpen();
    // A rank that was parked joins at the step after the one under way: no rank waits for layers
    // that it would have to catch up on. A rank at work that fell behind joins the step under way.
    const seen = this.#links.stepSeen();
    const { step } = this.#cursor.position;
    this.#cursor.begin(
      this.#parked ? Math.max(step, seen) + 1 : Math.max(step + 1, seen),
      microBatches,
    );
    this.#routes.beginStep();
    this.#parked = false;
  }

  adoptPlacement(placement: PlacementEpoch): void {
    this.#mustBeOpen();
    this.#routes.adopt(placement);
  }

  dispatch(layer: LayerIndex, microBatch: MicroBatchIndex, tokens: number): DispatchTicket {
    this.#mustBeOpen();
    const ticket = this.#tickets.free(microBatch);
    this.#checkTokens(tokens);
    this.#checkOrder(layer, microBatch);
    const rowCounts = this.#routes.count(layer, microBatch, tokens);
    const frame = this.#frame;
    const cursor = this.#cursor;
    frame.type = 'rows';
    frame.placementEpoch = this.#routes.epoch;
    frame.tokens = tokens;
    frame.step = cursor.position.step;
    frame.layer = layer;
    frame.microBatch = microBatch;
    cursor.peekNext(frame.next);
    ticket.layer = layer;
    ticket.tokens = tokens;
    ticket.state = 'in-flight';
    for (let expert = 0; expert < rowCounts.length; expert++) {
      frame.rowCount = rowCounts[expert] ?? 0;
      this.#links.send(
        frame,
        expert,
        this.#gathersLayers && compareLayers(frame, frame.next) === 0,
      );
      ticket.owed[expert] = frame.rowCount > 0 ? 1 : 0;
      ticket.sequences[expert] = frame.sequence;
    }
    cursor.advance();
    return ticket;
  }

  combine(ticket: DispatchTicket): void {
    this.#mustBeOpen();
    const own = this.#tickets.inState(ticket, 'in-flight');
    this.#links.waitForAnswers(own);
    this.#partialRows?.keepSums(own.microBatch, own.tokens);
    own.state = 'answered';
  }

  release(ticket: DispatchTicket): void {
    this.#mustBeOpen();
    this.#tickets.inState(ticket, 'answered').state = 'free';
  }

  park(): void {
    this.#mustBeOpen();
    if (this.#parked) return;
    this.#frame.type = 'park';
    this.#frame.tokens = 0;
    this.#frame.rowCount = 0;
    for (let expert = 0; expert < this.#end.experts.length; expert++) {
      this.#links.send(this.#frame, expert, false);
    }
    this.#parked = true;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    Atomics.store(this.#end.words, segmentWord.state, segmentState.closed);
    this.#links.ringAll();
    this.#end.memory.close?.();
  }

  #mustBeOpen(): void {
    if (this.#closed) throw portClosed(this.#name);
    if (this.#links.failure !== undefined) throw this.#links.failure as Error;
  }

  #checkTokens(tokens: number): void {
    const { tokensPerSlotMax } = this.#end.shape;
    if (Number.isInteger(tokens) && tokens >= 0 && tokens <= tokensPerSlotMax) return;
    throw new TransportError('ERR_SLOT_OVERFLOW', {
      message:
        `A slot holds 0 to ${tokensPerSlotMax} tokens, not ${tokens}. Plan smaller micro-batches, ` +
        `or raise tokensPerSlotMax.`,
      details: { tokens, tokensPerSlotMax },
    });
  }

  #checkOrder(layer: LayerIndex, microBatch: MicroBatchIndex): void {
    const { position, ended } = this.#cursor;
    if (!ended && position.layer === layer && position.microBatch === microBatch) return;
    const due = ended ? 'beginStep' : `layer ${position.layer}, micro-batch ${position.microBatch}`;
    throw frameInvalid(
      `${at(this.#name, { layer, microBatch })} dispatched when ${due} was due`,
      'Dispatch layer by layer, and in a layer the micro-batches given to beginStep in their order.',
    );
  }
}
