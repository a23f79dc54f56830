import type { GeneratedToken } from '../protocol/messages.js';

/**
 * The tokens of one sequence on their way from its worker to their reader. The sequence's own limit
 * of output tokens bounds it.
 */
export class TokenStream {
  readonly #tokens: GeneratedToken[] = [];
  #error: Error | undefined;
  #wake: (() => void) | undefined;

  push(token: GeneratedToken): void {
    this.#tokens.push(token);
    this.#wake?.();
  }

  /** Ends the stream after the tokens that are already in it. The first error counts. */
  fail(error: Error): void {
    this.#error ??= error;
    this.#wake?.();
  }

  /** The next tokens, at least one; all that have arrived. Throws what `fail` was given. */
  async next(): Promise<GeneratedToken[]> {
    while (this.#tokens.length === 0) {
      if (this.#error !== undefined) throw this.#error;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#tokens.splice(0);
  }
}
