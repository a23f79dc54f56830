import type { SequenceId } from '@megascale/core';
import { BoundedQueue } from './bounded-queue.js';
import type { WaitingSequence } from './sequence.js';
import type { WaitingSequenceView } from '../batch/waiting-view.js';

/**
 * Who waits, in the order a policy sees: first those that were admitted before and lost their pages (preempted, or
 * moved from a lost worker), then newcomers; each part in order of admission. Only newcomers count against the limit: the others were
 * admitted already, and a refusal now would lose them.
 */
export class WaitingLine implements Iterable<WaitingSequence> {
  readonly #returned: WaitingSequence[] = [];
  readonly #newcomers: BoundedQueue<WaitingSequence>;
  readonly #byId = new Map<SequenceId, WaitingSequence>();
  /** Of all of them, in order: the line may be long, and is looked at in every step. */
  readonly #views: WaitingSequenceView[] = [];

  constructor(maxQueuedRequests: number) {
    this.#newcomers = new BoundedQueue('maxQueuedRequests', maxQueuedRequests);
  }

  get size(): number {
    return this.#returned.length + this.#newcomers.size;
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
    this.#byId.set(sequence.history.request.id, sequence);
    this.#views.push(sequence.history.view.wait(sequence.history));
  }

  addReturned(sequence: WaitingSequence): void {
    const { admissionNumber } = sequence.history;
    const later = this.#returned.findIndex(
      ({ history }) => history.admissionNumber > admissionNumber,
    );
    const place = later < 0 ? this.#returned.length : later;
    this.#returned.splice(place, 0, sequence);
    this.#byId.set(sequence.history.request.id, sequence);
    this.#views.splice(place, 0, sequence.history.view.wait(sequence.history));
  }

  /** Whether it was there. */
  remove(sequence: WaitingSequence): boolean {
    const place = this.#views.indexOf(sequence.history.view);
    if (place < 0) return false;
    this.#views.splice(place, 1);
    this.#byId.delete(sequence.history.request.id);
    if (place < this.#returned.length) this.#returned.splice(place, 1);
    else this.#newcomers.remove(sequence);
    return true;
  }

  /** What policies see of them, in order. */
  views(): WaitingSequenceView[] {
    return this.#views.slice();
  }

  *[Symbol.iterator](): Generator<WaitingSequence, void, undefined> {
    yield* this.#returned;
    yield* this.#newcomers;
  }
}
