import type { SequenceId } from '@megascale/core';
import type { KvCache } from '../kv/kv-cache.js';
import type { RunningSequence } from './running-sequence.js';
import { RunningSequenceView } from '../batch/running-view.js';
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
  /** Lists of their own after each change, since whoever asked may still read the ones before. */
  #all: RunningPart = { sequences: [], views: [] };

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
    const view = this.viewOf(sequence);
    view.show(sequence);
    const { sequences, views } = this.#all;
    this.#all = { sequences: [...sequences, sequence], views: [...views, view] };
  }

  remove(sequence: RunningSequence): void {
    if (!this.#byId.delete(sequence.id)) return;
    const { sequences, views } = this.#all;
    const place = sequences.indexOf(sequence);
    this.#all = { sequences: sequences.toSpliced(place, 1), views: views.toSpliced(place, 1) };
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
    return this.#all;
  }

  /** Those that surely have a token to compute in the step after the one in flight. */
  goingOn(): RunningPart {
    const sequences = this.#all.sequences.filter((sequence) => !sequence.endsWithAwaitedToken);
    if (sequences.length === this.#all.sequences.length) return this.#all;
    return { sequences, views: sequences.map((sequence) => this.viewOf(sequence)) };
  }
}
