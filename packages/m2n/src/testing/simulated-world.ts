import type { Clock } from '@megascale/core';

/** What reading the clock takes: a loop that looks at nothing else comes to its end. */
const clockReadingUs = 1;
/**
 * A rank at work goes on so long beyond the time that another one is due at: two ranks that look at
 * the clock in a loop do not take turns at every look.
 */
const turnUs = 8;
/** How long a rank waits for its turn by the clock on the wall, before it gives up. */
const turnLimitMs = 60_000;

const word = { state: 0, random: 1, turns: 2, inside: 3, ranks: 4 } as const;
/** Instead of a turn: the rank has left, and is not woken any more. */
const hasLeft = -1;
const state = { opening: 0, running: 1, broken: 2 } as const;

/**
 * Threads on one simulated clock. Each rank runs on a thread of its own, with its blocking calls as
 * they are, but only one has the turn; where it would sleep it passes the turn on to the rank that
 * wakes first, and the clock goes there. So the same seed gives the same order of everything,
 * whatever the machine does, and simulated hours cost nothing. While ports open, before `start`,
 * the threads run freely and the clock stands.
 *
 * In shared memory; one object per thread.
 */
export class SimulatedWorld implements Clock {
  /** [now, then when each rank wakes] */
  readonly #times: Float64Array;
  /**
   * State, random state, turns so far, ranks inside, then whose turn it is: [ranks] 0 or 1, -1 of
   * those that left.
   */
  readonly #words: Int32Array;
  readonly #rank: number;

  /** `rank`: the own one; -1 for the thread that only starts the world. */
  constructor(
    readonly memory: SharedArrayBuffer,
    rank = -1,
  ) {
    const count = rankCountOf(memory.byteLength);
    this.#times = new Float64Array(memory, 0, 1 + count);
    this.#words = new Int32Array(memory, 8 * (1 + count), word.ranks + count);
    this.#rank = rank;
  }

  static create(rankCount: number, seed: number): SimulatedWorld {
    const world = new SimulatedWorld(
      new SharedArrayBuffer(8 * (1 + rankCount) + 4 * (word.ranks + rankCount)),
    );
    world.#words[word.random] = seed;
    return world;
  }

  /** Once all ranks have opened their ports and are about to `enter`. */
  start(): void {
    const { length } = this.#times;
    // Everybody is ready at once; who comes first is drawn.
    for (let rank = 0; rank + 1 < length; rank += 1) this.#times[1 + rank] = this.fraction();
    this.#words[word.inside] = length - 1;
    this.#words[word.state] = state.running;
    this.#passOn();
  }

  /** Waits for the first turn. */
  enter(): void {
    this.#awaitTurn();
  }

  /** The rank has ended: the others go on without it. */
  leave(): void {
    this.#times[1 + this.#rank] = Infinity;
    Atomics.store(this.#words, word.ranks + this.#rank, hasLeft);
    if (Atomics.sub(this.#words, word.inside, 1) > 1) this.#passOn();
  }

  nowUs(): number {
    if (this.#words[word.state] === state.opening) return this.#now;
    this.#mustGoOn();
    const nowUs = this.#now + clockReadingUs;
    this.#times[0] = nowUs;
    // Another rank is due: two threads at work are seen in any order of their clock readings.
    if (this.#dueFirst(this.#rank).atUs + turnUs <= nowUs) this.sleepUntil(nowUs);
    return this.#now;
  }

  wallMs(): number {
    return this.#now / 1000;
  }

  /** Until this time, or until another rank wakes this one. */
  sleepUntil(untilUs: number): void {
    this.#times[1 + this.#rank] = Math.max(untilUs, this.#now);
    this.#passOn();
    this.#awaitTurn();
  }

  sleep(us: number): void {
    this.sleepUntil(this.#now + us);
  }

  /** Another rank goes on soon, if it sleeps. */
  wake(rank: number): void {
    if (this.#words[word.ranks + rank] === hasLeft) return;
    const atUs = this.#now + 1 + 20 * this.fraction() ** 3;
    const own = this.#times[1 + rank] ?? Infinity;
    if (rank !== this.#rank && atUs < own) this.#times[1 + rank] = atUs;
  }

  /** 0 ≤ value < 1, from the world's seed (splitmix32). */
  fraction(): number {
    const next = ((this.#words[word.random] ?? 0) + 0x9e3779b9) | 0;
    this.#words[word.random] = next;
    let bits = Math.imul(next ^ (next >>> 16), 0x21f0aaad);
    bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
    return ((bits ^ (bits >>> 15)) >>> 0) / 2 ** 32;
  }

  /** Turns so far. */
  get turns(): number {
    return this.#words[word.turns] ?? 0;
  }

  /** Every rank's next call throws: what is left of the simulation ends. */
  break(): void {
    this.#words[word.state] = state.broken;
    for (let rank = 0; rank + 1 < this.#times.length; rank += 1) this.#giveTurn(rank);
  }

  get #now(): number {
    return this.#times[0] ?? 0;
  }

  #dueFirst(except: number): { readonly rank: number; readonly atUs: number } {
    let rank = -1;
    let atUs = Infinity;
    for (let other = 0; other + 1 < this.#times.length; other += 1) {
      const wakesUs = this.#times[1 + other] ?? Infinity;
      if (other === except || wakesUs >= atUs) continue;
      rank = other;
      atUs = wakesUs;
    }
    return { rank, atUs };
  }

  #passOn(): void {
    const { rank, atUs } = this.#dueFirst(-1);
    if (rank < 0) {
      this.break();
      return;
    }
    this.#words[word.turns] = this.turns + 1;
    this.#times[0] = Math.max(this.#now, atUs);
    // Who has the turn is not due: it decides itself when it wakes next.
    this.#times[1 + rank] = Infinity;
    this.#giveTurn(rank);
  }

  #giveTurn(rank: number): void {
    Atomics.store(this.#words, word.ranks + rank, 1);
    Atomics.notify(this.#words, word.ranks + rank);
  }

  #awaitTurn(): void {
    const place = word.ranks + this.#rank;
    while (Atomics.exchange(this.#words, place, 0) === 0) {
      if (Atomics.wait(this.#words, place, 0, turnLimitMs) === 'timed-out') {
        throw new Error(`Rank ${this.#rank} of the simulation never had its turn again.`);
      }
    }
    this.#mustGoOn();
  }

  #mustGoOn(): void {
    if (this.#words[word.state] === state.broken) {
      throw new Error('The simulation was ended: every rank sleeps for ever, or it took too long.');
    }
  }
}

/** From 8 (1 + n) + 4 (4 + n) bytes. */
function rankCountOf(byteLength: number): number {
  return (byteLength - 8 - 4 * word.ranks) / 12;
}
