import { RequestError } from '@megascale/core';

/**
 * First in, first out, with a limit that has a name: full is a refusal that the client sees, never
 * a silent loss.
 */
export class BoundedQueue<Item> implements Iterable<Item> {
  readonly limitName: string;
  readonly max: number;
  readonly #items: Item[] = [];

  constructor(limitName: string, max: number) {
    this.limitName = limitName;
    this.max = max;
  }

  get size(): number {
    return this.#items.length;
  }

  /** Throws RequestError 'ERR_QUEUE_FULL'; the queue is unchanged then. */
  push(item: Item): void {
    this.expectRoom();
    this.#items.push(item);
  }

  /** Throws what `push` would throw. */
  expectRoom(): void {
    if (this.#items.length < this.max) return;
    throw new RequestError('ERR_QUEUE_FULL', {
      message: `${this.max} are waiting, which is the limit ${this.limitName}. Retry later, or raise ${this.limitName} (--${kebabCase(this.limitName)}).`,
      details: { limitName: this.limitName, max: this.max },
    });
  }

  shift(): Item | undefined {
    return this.#items.shift();
  }

  /** Whether it was there. */
  remove(item: Item): boolean {
    const index = this.#items.indexOf(item);
    if (index < 0) return false;
    this.#items.splice(index, 1);
    return true;
  }

  [Symbol.iterator](): Iterator<Item> {
    return this.#items[Symbol.iterator]();
  }
}

/** 'maxQueuedRequests' → 'max-queued-requests', as the flag of an option is named. */
function kebabCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
