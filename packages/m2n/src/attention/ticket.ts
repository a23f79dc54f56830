import {
  layerIndex,
  microBatchIndex,
  TransportError,
  type DispatchTicket,
  type LayerIndex,
  type MicroBatchIndex,
} from '@megascale/core';
import { slotBusy } from '../peers/peer-errors.js';

/** free → dispatch → in-flight → combine → answered → release → free */
export type TicketState = 'free' | 'in-flight' | 'answered';

/** The one ticket of a slot; its state is the slot's state. */
export class Ticket implements DispatchTicket {
  state: TicketState = 'free';
  layer: LayerIndex = layerIndex(0);
  tokens = 0;
  /** [expert ranks] 1 while that rank owes an answer… */
  readonly owed: Uint8Array;
  /** …and the sequence number it will answer with. */
  readonly sequences: Int32Array;

  constructor(
    readonly microBatch: MicroBatchIndex,
    expertWorkerCount: number,
  ) {
    this.owed = new Uint8Array(expertWorkerCount);
    this.sequences = new Int32Array(expertWorkerCount);
  }
}

/** The tickets of one attention port. */
export class TicketTable {
  readonly #tickets: readonly Ticket[];

  constructor(slotCount: number, expertWorkerCount: number) {
    this.#tickets = Array.from(
      { length: slotCount },
      (_, index) => new Ticket(microBatchIndex(index), expertWorkerCount),
    );
  }

  /**
   * @throws TransportError 'ERR_SLOT_OVERFLOW' without such a slot, 'ERR_SLOT_BUSY' while it is in
   * use.
   */
  free(microBatch: MicroBatchIndex): Ticket {
    const ticket = this.#tickets[microBatch];
    if (ticket === undefined) {
      throw new TransportError('ERR_SLOT_OVERFLOW', {
        message:
          `There is no slot for micro-batch ${microBatch}: the port was opened with ` +
          `${this.#tickets.length}. Raise slotCount.`,
        details: { microBatch, slotCount: this.#tickets.length },
      });
    }
    if (ticket.state !== 'free') {
      throw slotBusy(
        `The slot of micro-batch ${microBatch} is ${ticket.state} since layer ${ticket.layer}`,
        'Combine and release its ticket before the next dispatch.',
      );
    }
    return ticket;
  }

  /**
   * @throws TransportError 'ERR_SLOT_BUSY' unless the ticket is of this table and in this state.
   */
  inState(ticket: DispatchTicket, state: TicketState): Ticket {
    const own = this.#tickets[ticket.microBatch];
    if (own !== ticket) {
      throw slotBusy('The ticket is of another port', 'Give tickets back to the port they are of.');
    }
    if (own.state !== state) {
      throw slotBusy(
        `The ticket of micro-batch ${ticket.microBatch} is ${own.state}, not ${state}`,
        'Call dispatch, combine, release in this order, each once.',
      );
    }
    return own;
  }
}
