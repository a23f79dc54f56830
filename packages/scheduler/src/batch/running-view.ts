import { sequenceId, type RunningView } from '@megascale/core';
import type { KvCache } from '../kv/kv-cache.js';
import { ifNumber, type Seats } from '../sequence/seats.js';
import type { RunningSequence } from '../sequence/running-sequence.js';

/**
 * What policies see of the sequence that has a seat: what changes in every step is read from the seat when it is asked for. Its properties are its own, so that a
 * policy may copy it (`{ ...view }`).
 */
export class RunningSequenceView implements RunningView {
  id = sequenceId(0);
  arrivedAtMs = 0;
  priority = 0;
  tenant: string | undefined = undefined;
  ttftTargetMs: number | undefined = undefined;
  tpotTargetMs: number | undefined = undefined;
  preemptions = 0;
  declare readonly outputTokens: number;
  declare readonly firstTokenAtMs: number | undefined;
  declare readonly lastTokenAtMs: number | undefined;
  declare readonly contextTokens: number;
  declare readonly kvPages: number;
  declare readonly kvPagesFreed: number;
  declare readonly tokensLeft: number;
  /** The view that the last plan which named it was made from. */
  #namedIn = 0;
  readonly #seat: number;
  readonly #seats: Seats;
  readonly #pages: KvCache;

  constructor(seat: number, seats: Seats, pages: KvCache) {
    this.#seat = seat;
    this.#seats = seats;
    this.#pages = pages;
    Object.defineProperties(this, RunningSequenceView.#ofSeat);
  }

  /** Of this sequence from now on, which has the seat. */
  show({ history }: RunningSequence): void {
    const { request } = history;
    this.id = request.id;
    this.arrivedAtMs = request.arrivedAtMs;
    this.priority = request.priority ?? 0;
    this.tenant = request.tenant;
    this.ttftTargetMs = request.ttftTargetMs;
    this.tpotTargetMs = request.tpotTargetMs;
    this.preemptions = history.preemptions;
  }

  get running(): boolean {
    return true;
  }

  /** False when a plan for this view named it before. */
  firstNamedIn(viewNumber: number): boolean {
    if (this.#namedIn === viewNumber) return false;
    this.#namedIn = viewNumber;
    return true;
  }

  static readonly #ofSeat: PropertyDescriptorMap & ThisType<RunningSequenceView> = {
    outputTokens: {
      enumerable: true,
      get() {
        const { tokenCounts, promptTokens } = this.#seats;
        return (tokenCounts[this.#seat] ?? 0) - (promptTokens[this.#seat] ?? 0);
      },
    },
    firstTokenAtMs: {
      enumerable: true,
      get() {
        return ifNumber(this.#seats.firstTokenAtMs[this.#seat]);
      },
    },
    lastTokenAtMs: {
      enumerable: true,
      get() {
        return ifNumber(this.#seats.lastTokenAtMs[this.#seat]);
      },
    },
    contextTokens: {
      enumerable: true,
      get() {
        return this.#seats.computedTokens[this.#seat];
      },
    },
    kvPages: {
      enumerable: true,
      get() {
        return this.#seats.pages.length(this.#seat);
      },
    },
    kvPagesFreed: {
      enumerable: true,
      get() {
        return this.#pages.freedBy(this.#seats, this.#seat);
      },
    },
    tokensLeft: {
      enumerable: true,
      get() {
        const computed = this.#seats.computedTokens[this.#seat] ?? 0;
        return this.#seats.knownTokens(this.#seat) - computed;
      },
    },
  };
}
