import type { AttentionPort, PlacementEpoch } from '@megascale/core';
import type { Step } from '@megascale/scheduler';
import type { CoordinatorMessage } from '../protocol/messages.js';
import type { Inbox } from '../worker/thread-inbox.js';

/**
 * The part of an attention worker in a move. Its next step runs in the new epoch. Once that step
 * has ended no older one is under way, because steps end in the order they began.
 */
export class PlacementAdoption {
  readonly #port: AttentionPort;
  readonly #inbox: Pick<Inbox, 'send'>;
  #epoch: number | undefined;
  /** The first step in the new epoch. */
  #first: Step | undefined;

  constructor(port: AttentionPort, inbox: Pick<Inbox, 'send'>) {
    this.#port = port;
    this.#inbox = inbox;
  }

  receive(message: CoordinatorMessage): void {
    if (message.type !== 'placement-changed') return;
    const placement = message.placement as unknown as PlacementEpoch['placement'];
    this.#port.adoptPlacement({ epoch: message.epoch, placement });
    this.#epoch = message.epoch;
    this.#first = undefined;
  }

  /** The loop has planned this step to come next. */
  planned(step: Step): void {
    if (this.#epoch !== undefined) this.#first ??= step;
  }

  ended(step: Step): void {
    if (this.#first === step) this.idle();
  }

  /** No step is under way. */
  idle(): void {
    if (this.#epoch === undefined) return;
    this.#inbox.send({ type: 'placement-adopted', epoch: this.#epoch });
    this.#epoch = undefined;
    this.#first = undefined;
  }
}
