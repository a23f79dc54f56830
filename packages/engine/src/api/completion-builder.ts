import { Detokenizer, StopTexts, systemClock, type Tokenizer } from '@megascale/core';
import type { OutputToken, Piece } from '../spec/language-model.js';
import type { GeneratedToken } from '../protocol/messages.js';

export interface CompletionOptions {
  readonly stop: readonly string[];
  /** The text of these tokens is not part of the completion. */
  readonly eosTokenIds: readonly number[];
}

/**
 * Makes the tokens of a sequence into pieces of text: whole characters only, and nothing of a stop
 * text.
 */
export class CompletionBuilder {
  readonly promptTokenIds: readonly number[];
  readonly #tokenizer: Tokenizer;
  readonly #detokenizer: Detokenizer;
  readonly #stopTexts: StopTexts;
  readonly #eosTokenIds: ReadonlySet<number>;
  #outputTokens = 0;
  #detokenizingUs = 0;
  #cachedPromptTokens = 0;
  #held: OutputToken[] = [];

  constructor(tokenizer: Tokenizer, promptTokenIds: readonly number[], options: CompletionOptions) {
    this.#tokenizer = tokenizer;
    this.#detokenizer = new Detokenizer(tokenizer, { context: promptTokenIds });
    this.#stopTexts = new StopTexts(options.stop);
    this.#eosTokenIds = new Set(options.eosTokenIds);
    this.promptTokenIds = promptTokenIds;
  }

  /**
   * Returns the piece that this token completes; undefined while its text is held back. Tokens
   * travel with the piece that has their text.
   */
  add(token: GeneratedToken): Piece | undefined {
    const startUs = systemClock.nowUs();
    const piece = this.#add(token);
    this.#detokenizingUs += systemClock.nowUs() - startUs;
    return piece;
  }

  /** The time that `add` has taken so far. */
  get detokenizingUs(): number {
    return this.#detokenizingUs;
  }

  /** Output tokens so far. */
  get outputTokens(): number {
    return this.#outputTokens;
  }

  #add(token: GeneratedToken): Piece | undefined {
    this.#outputTokens += 1;
    this.#cachedPromptTokens += token.cached ?? 0;
    this.#held.push(this.#describe(token));
    const ends = token.finished === 'stop' && this.#eosTokenIds.has(token.id);
    const { text, match } = this.#stopTexts.push(ends ? '' : this.#detokenizer.push(token.id));
    if (match !== undefined) return this.#finish(text, 'stop');
    if (token.finished === undefined) return text === '' ? undefined : this.#piece(text);

    const tail = this.#stopTexts.push(this.#detokenizer.flush());
    if (tail.match !== undefined) return this.#finish(text + tail.text, 'stop');
    return this.#finish(text + tail.text + this.#stopTexts.flush(), token.finished);
  }

  #piece(text: string): Piece {
    const tokens = this.#held;
    this.#held = [];
    return { text, tokens };
  }

  #finish(text: string, finishReason: 'stop' | 'length'): Piece {
    return {
      ...this.#piece(text),
      finishReason,
      usage: {
        promptTokens: this.promptTokenIds.length,
        cachedPromptTokens: this.#cachedPromptTokens,
        outputTokens: this.#outputTokens,
      },
    };
  }

  #describe({ id, logprob, top }: GeneratedToken): OutputToken {
    const textOf = (tokenId: number): string =>
      this.#tokenizer.decode([tokenId], { skipSpecialTokens: false });
    return {
      id,
      text: textOf(id),
      ...(logprob === undefined ? {} : { logprob }),
      ...(top === undefined
        ? {}
        : {
            topLogprobs: top.map((entry) => ({
              id: entry.id,
              text: textOf(entry.id),
              logprob: entry.logprob,
            })),
          }),
    };
  }
}
