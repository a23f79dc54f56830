import { deferred, type Deferred } from './deferred.js';
import type { CoordinatorMessage } from './messages.js';
import type { WorkerHandle } from './worker-handle.js';

/** Requests to workers whose replies are pending, at most one for each worker. */
export class PendingReplies<Reply> {
  readonly #what: string;
  readonly #pending = new Map<WorkerHandle, Deferred<Reply>>();

  /** `what` names the reply in the error of a request that a newer one replaces. */
  constructor(what: string) {
    this.#what = what;
  }

  /**
   * Sends the message. Rejects when `fail` is called, or a newer request to the same worker is
   * made.
   */
  request(worker: WorkerHandle, message: CoordinatorMessage): Promise<Reply> {
    const reply = deferred<Reply>();
    this.#pending.get(worker)?.reject(new Error(`Another ${this.#what} was requested.`));
    this.#pending.set(worker, reply);
    worker.send(message);
    return reply.promise;
  }

  resolve(worker: WorkerHandle, reply: Reply): void {
    this.#pending.get(worker)?.resolve(reply);
    this.#pending.delete(worker);
  }

  /** Rejects every request whose reply is pending. */
  fail(error: Error): void {
    for (const reply of this.#pending.values()) reply.reject(error);
    this.#pending.clear();
  }
}
