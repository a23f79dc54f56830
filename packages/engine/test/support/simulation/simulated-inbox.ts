import type { SimulatedWorld } from '@megascale/m2n/testing';
import type { CoordinatorMessage, WorkerMessage } from '../../../src/protocol/messages.js';
import type { Inbox } from '../../../src/worker/thread-inbox.js';
import type { ThreadControl } from '../../../src/worker/thread-control.js';
import type { Mailbox } from './mailbox.js';

export interface TimedMessage<Message> {
  readonly atUs: number;
  readonly message: Message;
}

/** Messages that come by the simulated clock, and a record of those that are sent. */
export class SimulatedInbox implements Inbox {
  readonly sent: TimedMessage<WorkerMessage>[] = [];
  readonly #world: SimulatedWorld;
  readonly #control: ThreadControl;
  /** Called once, when nothing is to come any more and everything was drained. */
  readonly #onIdle: () => void;
  /** What a coordinator sends that plays along. */
  readonly #mailbox: Mailbox<CoordinatorMessage>;
  readonly #onSend: (message: WorkerMessage) => void;
  /** By time. */
  readonly #coming: TimedMessage<CoordinatorMessage>[];
  #idle = false;

  constructor(parts: {
    readonly world: SimulatedWorld;
    readonly control: ThreadControl;
    readonly coming: readonly TimedMessage<CoordinatorMessage>[];
    readonly mailbox: Mailbox<CoordinatorMessage>;
    readonly onIdle: () => void;
    readonly onSend: (message: WorkerMessage) => void;
  }) {
    this.#world = parts.world;
    this.#control = parts.control;
    this.#coming = [...parts.coming];
    this.#mailbox = parts.mailbox;
    this.#onIdle = parts.onIdle;
    this.#onSend = parts.onSend;
  }

  drain(): CoordinatorMessage[] {
    const nowUs = this.#world.nowUs();
    const later = this.#coming.findIndex(({ atUs }) => atUs > nowUs);
    const due = this.#coming.splice(0, later < 0 ? this.#coming.length : later);
    return due.map(({ message }) => message).concat(this.#mailbox.take());
  }

  async arrival(): Promise<void> {
    for (;;) {
      const [next] = this.#coming;
      if (next === undefined && !this.#idle) {
        this.#idle = true;
        this.#onIdle();
      }
      if (this.#control.stopReason() !== undefined) return;
      if (!this.#mailbox.isEmpty) return;
      if (next !== undefined && next.atUs <= this.#world.nowUs()) return;
      this.#world.sleepUntil(next?.atUs ?? Infinity);
    }
  }

  take(type: CoordinatorMessage['type']): Promise<never> {
    return Promise.reject(new Error(`No part of the simulation sends '${type}'.`));
  }

  send(message: WorkerMessage): void {
    this.sent.push({ atUs: this.#world.nowUs(), message });
    this.#onSend(message);
  }
}
