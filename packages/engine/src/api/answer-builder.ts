import { Detokenizer, StopTexts, type Tokenizer } from '@megascale/core';
import type { OutputToken, Piece } from '../spec/language-model.js';
import type { GeneratedToken } from '../protocol/messages.js';

export interface AnswerOptions {
  readonly stop: readonly string[];
  /** Their text is not part of the answer. */
  readonly eosTokenIds: readonly number[];
}

/** Turns a sequence's tokens into pieces of text: whole characters only, and nothing of a stop text. */
export class AnswerBuilder {
  readonly #tokenizer: Tokenizer;
  readonly #detokenizer: Detokenizer;
  readonly #stopTexts: StopTexts;
  readonly #eosTokenIds: ReadonlySet<number>;
  readonly #promptTokens: number;
  #outputTokens = 0;
  #cachedPromptTokens = 0;
  #held: OutputToken[] = [];

  constructor(tokenizer: Tokenizer, promptTokenIds: readonly number[], options: AnswerOptions) {
    this.#tokenizer = tokenizer;
    this.#detokenizer = new Detokenizer(tokenizer, { context: promptTokenIds });
    this.#stopTexts = new StopTexts(options.stop);
    this.#eosTokenIds = new Set(options.eosTokenIds);
    this.#promptTokens = promptTokenIds.length;
  }

  /** The piece this token completes; undefined while text is held back. Tokens travel with the piece their text is in. */
  add(token: GeneratedToken): Piece | undefined {
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

  /** So far. */
  get outputTokens(): number {
    return this.#outputTokens;
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
        promptTokens: this.#promptTokens,
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
