import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { randomTokenizer } from '../../../src/weights/random/random-tokenizer.js';
import { openTokenizer } from '../../../src/text/tokenizer.js';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'megascale-tokenizer-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

function write(name: string, value: unknown): void {
  writeFileSync(join(dir, name), typeof value === 'string' ? value : JSON.stringify(value));
}

const { tokenizer, tokenizerConfig, endTokenId, padTokenId } = randomTokenizer(300);

describe('openTokenizer', () => {
  it('gives text back and knows its special tokens', () => {
    write('tokenizer.json', tokenizer);
    write('tokenizer_config.json', tokenizerConfig);
    const opened = openTokenizer(dir);
    expect(opened.vocabSize).toBe(300);
    expect(opened.eosTokenId).toBe(endTokenId);
    expect(opened.bosTokenId).toBeUndefined();
    expect(opened.isSpecial(endTokenId)).toBe(true);
    expect(opened.isSpecial(0x61)).toBe(false);
    expect(opened.tokenOf(0x61)).toBe('a');
    expect(opened.idOf('<|pad|>')).toBe(padTokenId);
    expect(opened.idOf('absent')).toBeUndefined();
    const ids = opened.encode('Hello, wörld<|end|>');
    expect(ids.at(-1)).toBe(endTokenId);
    expect(opened.decode(ids)).toBe('Hello, wörld');
    expect(opened.decode(ids, { skipSpecialTokens: false })).toBe('Hello, wörld<|end|>');
  });

  it('decodes nothing, and ids that no token has, to nothing', () => {
    write('tokenizer.json', tokenizer);
    const opened = openTokenizer(dir);
    expect(opened.encode('')).toEqual([]);
    expect(opened.decode([])).toBe('');
    expect(opened.decode([300, 99_999, -1])).toBe('');
    expect(opened.decode([300, 0x61])).toBe('a');
  });

  it('keeps spaces before punctuation', () => {
    write('tokenizer.json', tokenizer);
    write('tokenizer_config.json', { ...tokenizerConfig, clean_up_tokenization_spaces: true });
    const opened = openTokenizer(dir);
    expect(opened.decode(opened.encode('so , it goes .'))).toBe('so , it goes .');
  });

  it('adds what the model puts around a text, unless told not to', () => {
    const post = {
      type: 'TemplateProcessing',
      single: [
        { SpecialToken: { id: '<|user|>', type_id: 0 } },
        { Sequence: { id: 'A', type_id: 0 } },
      ],
      pair: [],
    };
    write('tokenizer.json', { ...tokenizer, post_processor: post });
    write('tokenizer_config.json', { bos_token: { content: '<|user|>' } });
    const opened = openTokenizer(dir);
    expect(opened.encode('a')).toEqual([opened.bosTokenId, 0x61]);
    expect(opened.encode('a', { addSpecialTokens: false })).toEqual([0x61]);
  });

  it('refuses an absent file as missing', () => {
    expect(() => openTokenizer(dir)).toThrow(
      expect.objectContaining({ code: 'ERR_CHECKPOINT_MISSING' }),
    );
  });

  it.each<[string, unknown]>([
    ['no JSON', '{'],
    ['an empty object', {}],
    ['no model', { ...tokenizer, model: null }],
    ['an unknown model', { ...tokenizer, model: { type: 'Oracle' } }],
    ['an unknown decoder', { ...tokenizer, decoder: { type: 'Oracle' } }],
    ['added tokens that are none', { ...tokenizer, added_tokens: [null] }],
  ])('refuses %s as corrupt, naming the file', (_, value) => {
    write('tokenizer.json', value);
    expect(() => openTokenizer(dir)).toThrow(
      expect.objectContaining({
        code: 'ERR_CHECKPOINT_CORRUPT',
        message: expect.stringContaining(join(dir, 'tokenizer.json')) as string,
      }),
    );
  });
});
