/**
 * Which worker probably holds the first pages of a prompt: of each worker the newest pages of
 * prompts that were placed there, as hashes. A hint may be wrong (pages were taken by others, or
 * two prompts hash alike); it decides where a sequence is placed and nothing else.
 */
export class PrefixHints {
  readonly #pageSize: number;
  readonly #pagesMax: number;
  /** [workers] hashes of first tokens up to a page's end, oldest first. */
  readonly #held: readonly Set<number>[];

  /** `pagesMax`: pages remembered of each worker. */
  constructor(options: { workers: number; pageSize: number; pagesMax: number }) {
    this.#pageSize = options.pageSize;
    this.#pagesMax = options.pagesMax;
    this.#held = Array.from({ length: options.workers }, () => new Set());
  }

  /**
   * [workers] first tokens of the prompt, in full pages, that each probably holds. At least one
   * token is left to compute.
   */
  sharedTokens(prompt: readonly number[]): number[] {
    const hashes = this.#hashes(prompt);
    return this.#held.map((held) => {
      const missing = hashes.findIndex((hash) => !held.has(hash));
      return (missing < 0 ? hashes.length : missing) * this.#pageSize;
    });
  }

  /** The prompt was placed on that worker. */
  note(worker: number, prompt: readonly number[]): void {
    const held = this.#held[worker];
    if (held === undefined) return;
    for (const hash of this.#hashes(prompt)) {
      held.delete(hash);
      held.add(hash);
    }
    for (const oldest of held) {
      if (held.size <= this.#pagesMax) return;
      held.delete(oldest);
    }
  }

  /** [full pages before the last token] of all tokens up to each page's end. */
  #hashes(prompt: readonly number[]): number[] {
    const pages = Math.min(Math.floor((prompt.length - 1) / this.#pageSize), this.#pagesMax);
    const hashes: number[] = [];
    let hash = 0x811c9dc5;
    for (let place = 0; place < pages * this.#pageSize; place += 1) {
      hash = Math.imul(hash ^ (prompt[place] ?? 0), 0x01000193);
      hash ^= hash >>> 15;
      if ((place + 1) % this.#pageSize === 0) hashes.push(hash);
    }
    return hashes;
  }
}
