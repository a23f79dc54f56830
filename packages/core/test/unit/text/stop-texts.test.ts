import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RequestError } from '../../../src/errors.js';
import { StopTexts, type StopTextResult } from '../../../src/text/stop-texts.js';

/** Feeds pieces until a match; the whole text given and the match. */
function scan(stops: readonly string[], pieces: readonly string[]): StopTextResult {
  const scanner = new StopTexts(stops);
  let text = '';
  for (const piece of pieces) {
    const result = scanner.push(piece);
    text += result.text;
    if (result.match !== undefined) return { text, match: result.match };
  }
  return { text: text + scanner.flush() };
}

/** The rule by search: the stop text that ends first, the longest of those. */
function search(stops: readonly string[], text: string): StopTextResult {
  for (let end = 1; end <= text.length; end++) {
    const matches = stops.filter((stop) => text.slice(0, end).endsWith(stop));
    const match = matches.toSorted((a, b) => b.length - a.length)[0];
    if (match !== undefined) return { text: text.slice(0, end - match.length), match };
  }
  return { text };
}

const word = (maxLength: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength });

describe('StopTexts', () => {
  it('ends right before the first stop text to be completed', () => {
    expect(scan(['END'], ['one EN', 'D two'])).toEqual({ text: 'one ', match: 'END' });
    expect(scan(['abcd', 'bc'], ['xabcd'])).toEqual({ text: 'xa', match: 'bc' });
    expect(scan(['bc', 'abc'], ['xabc'])).toEqual({ text: 'x', match: 'abc' });
  });

  it('holds back only what may begin a stop text', () => {
    const scanner = new StopTexts(['aab']);
    expect(scanner.push('xa')).toEqual({ text: 'x' });
    expect(scanner.push('a')).toEqual({ text: '' });
    expect(scanner.push('a')).toEqual({ text: 'a' });
    expect(scanner.push('c')).toEqual({ text: 'aac' });
    expect(scanner.push('a')).toEqual({ text: '' });
    expect(scanner.flush()).toBe('a');
  });

  it('holds nothing back without stop texts', () => {
    expect(new StopTexts([]).push('all')).toEqual({ text: 'all' });
  });

  it('gives the same however the text is cut', () => {
    fc.assert(
      fc.property(
        fc.array(word(5), { maxLength: 4 }),
        fc.array(fc.oneof(word(6), fc.constant('')), { maxLength: 12 }),
        (stops, pieces) => {
          const expected = search(stops, pieces.join(''));
          expect(scan(stops, pieces)).toEqual(expected);
          expect(scan(stops, Array.from(pieces.join('')))).toEqual(expected);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('never holds back more than the longest stop text less one character', () => {
    fc.assert(
      fc.property(fc.array(word(5), { minLength: 1 }), word(30), (stops, text) => {
        const scanner = new StopTexts(stops);
        const longest = Math.max(...stops.map((stop) => stop.length));
        let given = 0;
        for (const [index, character] of Array.from(text).entries()) {
          const result = scanner.push(character);
          if (result.match !== undefined) return;
          given += result.text.length;
          expect(index + 1 - given).toBeLessThan(longest);
        }
      }),
    );
  });

  it('takes a long stop text of one character in a long text', () => {
    const stop = `${'a'.repeat(20_000)}b`;
    expect(scan([stop], ['a'.repeat(60_000), 'b'])).toEqual({
      text: 'a'.repeat(40_000),
      match: stop,
    });
  });

  it('refuses an empty stop text, and text after the end', () => {
    expect(() => new StopTexts(['a', ''])).toThrow(RequestError);
    const scanner = new StopTexts(['a']);
    scanner.push('a');
    expect(() => scanner.push('b')).toThrow(TypeError);
  });
});
