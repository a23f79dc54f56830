import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { randomTokenizer } from '../../../src/weights/random/random-tokenizer.js';
import { Detokenizer, type DetokenizerOptions } from '../../../src/text/detokenizer.js';
import { createTokenizer, type Tokenizer } from '../../../src/text/tokenizer.js';

const { tokenizer: byteJson, tokenizerConfig } = randomTokenizer(300);
const byteLevel = createTokenizer(byteJson, tokenizerConfig);

const words = ['▁', '▁the', '▁cat', 's', '.', '▁▁', '\uFFFD'];
/**
 * As sentencepiece models are exported: '▁' for spaces, bytes as <0xNN>, the first space of a text
 * dropped.
 */
const sentencePiece = createTokenizer(
  {
    added_tokens: [{ id: 0, content: '</s>', special: true, normalized: false }],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      byte_fallback: true,
      merges: [],
      vocab: Object.fromEntries(
        [
          '</s>',
          ...words,
          ...Array.from(
            { length: 256 },
            (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
          ),
        ].map((token, id) => [token, id]),
      ),
    },
  },
  {},
);
const firstByte = words.length + 1;

function stream(
  tokenizer: Tokenizer,
  tokenIds: readonly number[],
  options?: DetokenizerOptions,
): string[] {
  const detokenizer = new Detokenizer(tokenizer, options);
  return [...tokenIds.map((id) => detokenizer.push(id)), detokenizer.flush()];
}

/** Ids of which most spell text, and some are stray bytes, special or unknown. */
function idsOf(tokenizer: Tokenizer, byteIdOf: (byte: number) => number): fc.Arbitrary<number[]> {
  const text = fc
    .string({ unit: 'grapheme', maxLength: 4 })
    .map((characters) => [...Buffer.from(characters)].map(byteIdOf));
  const any = fc.integer({ min: 0, max: tokenizer.vocabSize + 2 }).map((id) => [id]);
  return fc.array(fc.oneof(text, any), { maxLength: 20 }).map((pieces) => pieces.flat());
}
const byteLevelIds = idsOf(byteLevel, (byte) => byte);
const sentencePieceIds = idsOf(sentencePiece, (byte) => firstByte + byte);

describe('Detokenizer', () => {
  it('gives a character when its last byte has come', () => {
    const ids = [...Buffer.from('a€🐢b')];
    expect(stream(byteLevel, ids)).toEqual(['a', '', '', '€', '', '', '', '🐢', 'b', '']);
  });

  it('gives what is left of a character as U+FFFD at the end', () => {
    expect(stream(byteLevel, [...Buffer.from('a€').subarray(0, 3)])).toEqual([
      'a',
      '',
      '',
      '\uFFFD',
    ]);
  });

  it('gives U+FFFD for stray bytes once the next character shows that they are stray', () => {
    expect(stream(byteLevel, [0xff, 0x61])).toEqual(['', '\uFFFDa', '']);
  });

  it('keeps the spaces between words and drops the first', () => {
    const [the = 0, cat = 0, s = 0] = ['▁the', '▁cat', 's'].map((token) =>
      sentencePiece.idOf(token),
    );
    expect(stream(sentencePiece, [the, cat, s, the])).toEqual(['the', ' cat', 's', ' the', '']);
    expect(stream(sentencePiece, [cat], { context: [the] })).toEqual([' cat', '']);
  });

  it('leaves special tokens out, or shows them', () => {
    const end = byteLevel.idOf('<|end|>') ?? 0;
    expect(stream(byteLevel, [0x61, end, 0x62])).toEqual(['a', '', 'b', '']);
    expect(stream(byteLevel, [0x61, end], { skipSpecialTokens: false })).toEqual([
      'a',
      '<|end|>',
      '',
    ]);
    const cat = sentencePiece.idOf('▁cat') ?? 0;
    expect(stream(sentencePiece, [cat, 0, cat]).join('')).toBe('cat cat');
  });

  it.each<[string, Tokenizer, fc.Arbitrary<number[]>]>([
    ['bytes', byteLevel, byteLevelIds],
    ['sentence pieces', sentencePiece, sentencePieceIds],
  ])('joins to the text of all tokens, with %s', (_, tokenizer, ids) => {
    fc.assert(
      fc.property(ids, fc.boolean(), (tokenIds, skipSpecialTokens) => {
        const deltas = stream(tokenizer, tokenIds, { skipSpecialTokens });
        expect(deltas.join('')).toBe(tokenizer.decode(tokenIds, { skipSpecialTokens }));
      }),
      { numRuns: 1000 },
    );
  });

  it('continues a context of complete characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 5 }), byteLevelIds, (before, ids) => {
        const context = byteLevel.encode(before);
        const whole = byteLevel.decode([...context, ...ids]);
        const deltas = stream(byteLevel, ids, { context });
        expect(deltas.join('')).toBe(whole.slice(before.length));
      }),
    );
  });

  it('looks at a bounded number of tokens, whatever comes', () => {
    let longest = 0;
    const watched: Tokenizer = {
      ...byteLevel,
      decode(tokenIds, options) {
        longest = Math.max(longest, tokenIds.length);
        return byteLevel.decode(tokenIds, options);
      },
    };
    const strays = new Array<number>(500).fill(0xff);
    const unknown = new Array<number>(500).fill(100_000);
    expect(stream(watched, [...strays, ...unknown, 0x61]).join('')).toBe(
      `${'\uFFFD'.repeat(500)}a`,
    );
    expect(longest).toBeLessThanOrEqual(13);
  });
});
