import type { WaitingSequence } from './sequence.js';
import { BoundedQueue } from './bounded-queue.js';

/**
 * Who waits, in the order a policy sees: first those that were admitted before and lost their pages (preempted, or
 * moved from a lost worker), then newcomers; each part in order of admission. Only newcomers count against the limit: the others were
 * admitted already, and a refusal now would lose them.
 */
export class WaitingLine implements Iterable<WaitingSequence> {
  readonly #returned: WaitingSequence[] = [];
  readonly #newcomers: BoundedQueue<WaitingSequence>;

  constructor(waitingMax: number) {
    this.#newcomers = new BoundedQueue('waitingMax', waitingMax);
  }

  get size(): number {
    return this.#returned.length + this.#newcomers.size;
  }

  /** Throws RequestError 'ERR_QUEUE_FULL' when a newcomer would be refused. */
  expectRoom(): void {
    this.#newcomers.expectRoom();
  }

  /** Throws RequestError 'ERR_QUEUE_FULL'. */
  addNewcomer(sequence: WaitingSequence): void {
    this.#newcomers.push(sequence);
  }

  addReturned(sequence: WaitingSequence): void {
    const { admissionNumber } = sequence.history;
    const later = this.#returned.findIndex(
      ({ history }) => history.admissionNumber > admissionNumber,
    );
    this.#returned.splice(later < 0 ? this.#returned.length : later, 0, sequence);
  }

  /** Whether it was there. */
  remove(sequence: WaitingSequence): boolean {
    const index = this.#returned.indexOf(sequence);
    if (index < 0) return this.#newcomers.remove(sequence);
    this.#returned.splice(index, 1);
    return true;
  }

  *[Symbol.iterator](): Generator<WaitingSequence, void, undefined> {
    yield* this.#returned;
    yield* this.#newcomers;
  }
}
