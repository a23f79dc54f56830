import { receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import type { CoordinatorMessage, WorkerMessage } from '../protocol/messages.js';

/** The messages that a data thread receives from the coordinator and sends to it. */
export interface Inbox {
  /** Returns every message that has arrived, in order, and empties the inbox. */
  drain(): CoordinatorMessage[];
  /** Resolves once `drain` has something to return, or there is a reason to stop. */
  arrival(): Promise<void>;
  /** Resolves with the next message of this type; others stay in the inbox. */
  take<Type extends CoordinatorMessage['type']>(
    type: Type,
  ): Promise<Extract<CoordinatorMessage, { type: Type }>>;
  send(message: WorkerMessage): void;
}

/**
 * The data thread's end of the channel to its main thread. `drain` takes what has arrived without
 * an event-loop turn, so that the step loop stays synchronous; `arrival` waits, for when there is
 * nothing to do.
 */
export class ThreadInbox implements Inbox {
  readonly #port: MessagePort;
  readonly #arrived: CoordinatorMessage[] = [];
  #wake: (() => void) | undefined;

  constructor(port: MessagePort) {
    this.#port = port;
    port.on('message', (message: CoordinatorMessage) => {
      this.#arrived.push(message);
      this.#wake?.();
    });
  }

  drain(): CoordinatorMessage[] {
    for (;;) {
      const next = receiveMessageOnPort(this.#port) as { message: CoordinatorMessage } | undefined;
      if (next === undefined) return this.#arrived.splice(0);
      this.#arrived.push(next.message);
    }
  }

  async arrival(): Promise<void> {
    if (this.#arrived.length > 0) return;
    await this.#nextMessage();
  }

  async take<Type extends CoordinatorMessage['type']>(
    type: Type,
  ): Promise<Extract<CoordinatorMessage, { type: Type }>> {
    for (;;) {
      const position = this.#arrived.findIndex((message) => message.type === type);
      const [message] = position < 0 ? [] : this.#arrived.splice(position, 1);
      if (message !== undefined) return message as Extract<CoordinatorMessage, { type: Type }>;
      await this.#nextMessage();
    }
  }

  send(message: WorkerMessage): void {
    this.#port.postMessage(message);
  }

  close(): void {
    this.#port.close();
  }

  async #nextMessage(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
  }
}
