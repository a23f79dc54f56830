import type { Tokenizer } from './tokenizer.js';

export interface DetokenizerOptions {
  /** Leave special tokens out of the text. Default true. */
  readonly skipSpecialTokens?: boolean;
  /**
   * The tokens before the first one, mostly the prompt's: they decide whether the first word keeps
   * its leading space. Their text is not given again.
   */
  readonly context?: readonly number[];
}

/** Tokens looked at again at most; UTF-8 needs four bytes, so four tokens, for one character. */
const windowTokensMax = 12;
const maxModelLen = 6;
/** Characters of unfinished UTF-8 that the next token may still change. */
const unfinishedCharactersMax = 3;
const replacement = '\uFFFD';

/**
 * Token ids → text, as they come. A token's text depends on its neighbours (a leading space is
 * dropped at the start; a character may be spread over tokens), so each push decodes a short
 * window: the tokens of the last complete piece of text and those after it. What is given, joined,
 * is `tokenizer.decode` of all tokens. Bounded work per token.
 */
export class Detokenizer {
  readonly #tokenizer: Tokenizer;
  readonly #skipSpecialTokens: boolean;
  /**
   * Tokens whose text is looked at; the first `#settledTokens` are context, their text was given.
   */
  #window: number[];
  #settledTokens: number;
  /** Characters of the window's text that were given. */
  #given: number;

  constructor(tokenizer: Tokenizer, options: DetokenizerOptions = {}) {
    this.#tokenizer = tokenizer;
    this.#skipSpecialTokens = options.skipSpecialTokens ?? true;
    const context = options.context ?? [];
    this.#window = context.filter((id) => this.#hasText(id)).slice(-maxModelLen);
    this.#settledTokens = this.#window.length;
    this.#given = withoutUnfinished(this.#text()).length;
  }

  /** The text that is certain now; '' while a character is incomplete. */
  push(tokenId: number): string {
    if (!this.#hasText(tokenId)) return '';
    this.#window.push(tokenId);
    const text = this.#text();
    const certain = withoutUnfinished(text);
    if (certain.length === text.length && text.length > this.#given) {
      const delta = text.slice(this.#given);
      this.#settle();
      return delta;
    }
    return this.#window.length > windowTokensMax ? this.#shorten(text) : '';
  }

  /** The rest, at the end of a sequence: an incomplete character becomes U+FFFD. */
  flush(): string {
    const delta = this.#text().slice(this.#given);
    this.#window = [];
    this.#settledTokens = 0;
    this.#given = 0;
    return delta;
  }

  /**
   * All text of the window was given: the tokens since the last time become the context of the
   * next.
   */
  #settle(): void {
    this.#window = this.#window.slice(this.#settledTokens);
    this.#settledTokens = this.#window.length;
    this.#given = this.#text().length;
  }

  /** So many bytes are no text: gives all but the last, which may still begin a character. */
  #shorten(text: string): string {
    const certain = Math.max(
      withoutUnfinished(text).length,
      text.length - unfinishedCharactersMax,
      this.#given,
    );
    const rest = text.slice(certain);
    const start = this.#given;
    this.#window = this.#window.slice(-maxModelLen);
    this.#settledTokens = 0;
    const context = this.#text();
    const isKept = context.endsWith(rest);
    this.#given = isKept ? context.length - rest.length : context.length;
    return isKept ? text.slice(start, certain) : text.slice(start);
  }

  #text(): string {
    return this.#tokenizer.decode(this.#window, { skipSpecialTokens: this.#skipSpecialTokens });
  }

  #hasText(tokenId: number): boolean {
    if (this.#skipSpecialTokens && this.#tokenizer.isSpecial(tokenId)) return false;
    return this.#tokenizer.tokenOf(tokenId) !== undefined;
  }
}

/** Text without the U+FFFD at its end, which more bytes may turn into a character. */
function withoutUnfinished(text: string): string {
  let end = text.length;
  while (end > 0 && text[end - 1] === replacement) end--;
  return text.slice(0, end);
}
