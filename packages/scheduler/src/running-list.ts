import type { SequenceId } from '@megascale/core';
import type { KvCache } from './kv/kv-cache.js';
import type { RunningSequence } from './running-sequence.js';
import { RunningSequenceView } from './running-view.js';
import type { Seats } from './seats.js';

/** Some of those that run, in the order of starting, and what policies see of each. */
export interface RunningPart {
  readonly sequences: readonly RunningSequence[];
  readonly views: readonly RunningSequenceView[];
}

/** Who runs, in the order of starting. */
export class RunningList {
  readonly #byId = new Map<SequenceId, RunningSequence>();
  /** Of each seat. */
  readonly #views: RunningSequenceView[] = [];
  readonly #seats: Seats;
  readonly #pages: KvCache;
  /** The same as lists; undefined until somebody asks after a change. */
  #listed: RunningPart | undefined;

  constructor(seats: Seats, pages: KvCache) {
    this.#seats = seats;
    this.#pages = pages;
  }

  get size(): number {
    return this.#byId.size;
  }

  get(id: SequenceId): RunningSequence | undefined {
    return this.#byId.get(id);
  }

  add(sequence: RunningSequence): void {
    this.#byId.set(sequence.id, sequence);
    this.#listed = undefined;
    this.viewOf(sequence).show(sequence);
  }

  remove(sequence: RunningSequence): void {
    this.#byId.delete(sequence.id);
    this.#listed = undefined;
  }

  /** What policies see of it. */
  viewOf({ seat }: RunningSequence): RunningSequenceView {
    while (this.#views.length <= seat) {
      this.#views.push(new RunningSequenceView(this.#views.length, this.#seats, this.#pages));
    }
    const view = this.#views[seat];
    if (view === undefined) throw new RangeError(`There is no seat ${seat}.`);
    return view;
  }

  all(): RunningPart {
    return (this.#listed ??= this.#listOf([...this.#byId.values()]));
  }

  /** Those that surely have a token to compute in the step after the one in flight. */
  goingOn(): RunningPart {
    const all = this.all();
    const sequences = all.sequences.filter((sequence) => !sequence.endsWithAwaitedToken);
    return sequences.length === all.sequences.length ? all : this.#listOf(sequences);
  }

  #listOf(sequences: readonly RunningSequence[]): RunningPart {
    return { sequences, views: sequences.map((sequence) => this.viewOf(sequence)) };
  }
}
