import type { SequenceId, WaitingView } from '@megascale/core';
import { BoundedQueue } from './bounded-queue.js';
import type { WaitingSequence } from './sequence.js';

/**
 * The sequences that wait, in the order a policy sees: first those that were admitted before and
 * lost their pages (preempted, or moved from a lost worker), then newcomers; each part in the order
 * of admission. Newcomers alone count against the limit: the others were admitted already, and a
 * refusal now would lose them.
 */
export class WaitingLine implements Iterable<WaitingSequence> {
  readonly #returned: WaitingSequence[] = [];
  readonly #newcomers: BoundedQueue<WaitingSequence>;
  readonly #byId = new Map<SequenceId, WaitingSequence>();
  /** Undefined after a change, until a caller asks for them. */
  #views: readonly WaitingView[] | undefined;

  constructor(maxQueuedRequests: number) {
    this.#newcomers = new BoundedQueue('maxQueuedRequests', maxQueuedRequests);
  }

  get size(): number {
    return this.#byId.size;
  }

  get(id: SequenceId): WaitingSequence | undefined {
    return this.#byId.get(id);
  }

  /** Throws RequestError 'ERR_QUEUE_FULL' when a newcomer would be refused. */
  expectRoom(): void {
    this.#newcomers.expectRoom();
  }

  /** Throws RequestError 'ERR_QUEUE_FULL'. */
  addNewcomer(sequence: WaitingSequence): void {
    this.#newcomers.push(sequence);
    this.#note(sequence);
  }

  /** Adds a sequence that was admitted before. */
  addReturned(sequence: WaitingSequence): void {
    const { admissionNumber } = sequence.history;
    const later = this.#returned.findIndex(
      ({ history }) => history.admissionNumber > admissionNumber,
    );
    this.#returned.splice(later < 0 ? this.#returned.length : later, 0, sequence);
    this.#note(sequence);
  }

  remove(sequence: WaitingSequence): void {
    if (!this.#byId.delete(sequence.history.request.id)) return;
    this.#views = undefined;
    if (this.#newcomers.remove(sequence)) return;
    this.#returned.splice(this.#returned.indexOf(sequence), 1);
  }

  /** What policies see of them, in order. The list is the caller's own. */
  views(): WaitingView[] {
    this.#views ??= [...this.#returned, ...this.#newcomers].map(({ view }) => view);
    return this.#views.slice();
  }

  *[Symbol.iterator](): Generator<WaitingSequence, void, undefined> {
    yield* this.#returned;
    yield* this.#newcomers;
  }

  #note(sequence: WaitingSequence): void {
    this.#byId.set(sequence.history.request.id, sequence);
    this.#views = undefined;
  }
}
