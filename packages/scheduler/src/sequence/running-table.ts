import { PageTables } from '../kv/page-tables.js';

const slotsAtFirst = 32;

/**
 * The numbers that every step reads and writes of each running sequence, as columns by batch slot:
 * a step walks a few arrays from end to end. A sequence has its slot from its start until it ends
 * or is preempted; the slot is then free for another sequence.
 */
export class RunningTable {
  /** [slots] tokens whose keys and values are in the pages. */
  computedTokens = new Int32Array(0);
  /** [slots] tokens known: prompt and output. */
  knownTokens = new Int32Array(0);
  /** [slots] token ids. */
  newestToken = new Int32Array(0);
  /** The KV pages of each slot. */
  readonly kvPages = new PageTables();
  readonly #free: number[] = [];

  constructor() {
    this.#resize(slotsAtFirst);
  }

  /** A free slot for a sequence with these tokens, of which none is computed; lowest slot first. */
  allocate(tokens: readonly number[]): number {
    if (this.#free.length === 0) this.#resize(2 * this.knownTokens.length);
    const slot = this.#free.pop();
    if (slot === undefined) throw new RangeError('The table of running sequences has no slot.');
    this.computedTokens[slot] = 0;
    this.knownTokens[slot] = tokens.length;
    this.newestToken[slot] = tokens.at(-1) ?? 0;
    return slot;
  }

  free(slot: number): void {
    this.kvPages.clear(slot);
    this.#free.push(slot);
  }

  /** The sequence of the slot has one more token. */
  append(slot: number, tokenId: number): void {
    this.knownTokens[slot] = (this.knownTokens[slot] ?? 0) + 1;
    this.newestToken[slot] = tokenId;
  }

  #resize(slots: number): void {
    const before = this.knownTokens.length;
    this.computedTokens = longer(this.computedTokens, slots);
    this.knownTokens = longer(this.knownTokens, slots);
    this.newestToken = longer(this.newestToken, slots);
    this.kvPages.resize(slots);
    for (let slot = slots - 1; slot >= before; slot -= 1) this.#free.push(slot);
  }
}

function longer(column: Int32Array, length: number): Int32Array<ArrayBuffer> {
  const copy = new Int32Array(length);
  copy.set(column);
  return copy;
}
