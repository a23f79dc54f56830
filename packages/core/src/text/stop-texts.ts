import { RequestError } from '../errors.js';

export interface StopTextResult {
  /** Text that belongs to the answer for certain. */
  readonly text: string;
  /** The stop text that was found; `text` ends right before it, and nothing may follow. */
  readonly match?: string;
}

/** One stop text and how much of it the end of the text so far spells. */
interface Automaton {
  readonly text: string;
  /** fallback[n] = length of the longest proper prefix that also ends the first n characters. */
  readonly fallback: readonly number[];
  matched: number;
}

/**
 * Watches text that arrives in pieces for the first of some stop texts to be completed, and holds
 * back what may be the beginning of one. Of several completed by the same character the longest
 * counts. How the text is cut into pieces makes no difference. Each character costs amortized
 * O(stop texts).
 */
export class StopTexts {
  readonly #automata: readonly Automaton[];
  #held = '';
  #ended = false;

  /**
   * @throws RequestError 'ERR_REQUEST_INVALID' for an empty stop text, which would end everything
   * at once.
   */
  constructor(texts: readonly string[]) {
    if (texts.includes('')) {
      throw new RequestError('ERR_REQUEST_INVALID', {
        message: 'stop: a stop text is empty. Leave it out or give at least one character.',
        details: { field: 'stop', found: texts },
      });
    }
    this.#automata = texts.map((text) => ({ text, fallback: fallbacks(text), matched: 0 }));
  }

  /** Throws after a match or a flush: there is no text after the end. */
  push(delta: string): StopTextResult {
    if (this.#ended) throw new TypeError('StopTexts.push after its end');
    const text = this.#held + delta;
    for (let at = this.#held.length; at < text.length; at++) {
      const match = this.#advance(text[at] ?? '');
      if (match !== undefined) {
        this.#ended = true;
        this.#held = '';
        return { text: text.slice(0, at + 1 - match.length), match };
      }
    }
    const heldLength = this.#automata.reduce((most, { matched }) => Math.max(most, matched), 0);
    this.#held = text.slice(text.length - heldLength);
    return { text: text.slice(0, text.length - heldLength) };
  }

  /** What was held back, when no more text comes. */
  flush(): string {
    const rest = this.#held;
    this.#held = '';
    this.#ended = true;
    return rest;
  }

  /** Takes one character into every automaton; the longest stop text it completes. */
  #advance(character: string): string | undefined {
    let longest: string | undefined;
    for (const automaton of this.#automata) {
      const { text, fallback } = automaton;
      let matched = automaton.matched;
      while (matched > 0 && text[matched] !== character) matched = fallback[matched] ?? 0;
      if (text[matched] === character) matched++;
      automaton.matched = matched;
      if (matched === text.length && text.length > (longest?.length ?? 0)) longest = text;
    }
    return longest;
  }
}

function fallbacks(text: string): readonly number[] {
  const fallback = [0, 0];
  let matched = 0;
  for (let at = 1; at < text.length; at++) {
    while (matched > 0 && text[matched] !== text[at]) matched = fallback[matched] ?? 0;
    if (text[matched] === text[at]) matched++;
    fallback.push(matched);
  }
  return fallback;
}
