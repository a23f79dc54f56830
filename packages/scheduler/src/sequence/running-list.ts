import type { SequenceId } from '@megascale/core';
import type { RunningSequence } from './running-sequence.js';

/** The sequences that run, in the order in which they started. */
export class RunningList {
  readonly #byId = new Map<SequenceId, RunningSequence>();
  /** Undefined after a change, until a caller asks for it. */
  #inOrder: readonly RunningSequence[] | undefined;

  get size(): number {
    return this.#byId.size;
  }

  get(id: SequenceId): RunningSequence | undefined {
    return this.#byId.get(id);
  }

  add(sequence: RunningSequence): void {
    this.#byId.set(sequence.id, sequence);
    this.#inOrder = undefined;
  }

  remove({ id }: RunningSequence): void {
    this.#byId.delete(id);
    this.#inOrder = undefined;
  }

  /** A list that later changes leave as it is. */
  all(): readonly RunningSequence[] {
    this.#inOrder ??= [...this.#byId.values()];
    return this.#inOrder;
  }

  /** Those that surely have a token to compute in the step after the one in flight. */
  goingOn(): readonly RunningSequence[] {
    const all = this.all();
    return all.some(({ endsWithPendingToken }) => endsWithPendingToken)
      ? all.filter(({ endsWithPendingToken }) => !endsWithPendingToken)
      : all;
  }
}
