import type { Tokenizer } from '@megascale/core';
import { describe, expect, it } from 'vitest';
import { CompletionBuilder } from '../../../src/api/completion-builder.js';
import type { Piece } from '../../../src/spec/language-model.js';

/** Every byte is a token of its own; 0 is the end of sequence. */
const bytes: Tokenizer = {
  vocabSize: 256,
  eosTokenId: 0,
  encode: (text) => [...new TextEncoder().encode(text)],
  decode: (tokenIds) => new TextDecoder().decode(Uint8Array.from(tokenIds.filter((id) => id > 0))),
  isSpecial: (id) => id === 0,
  tokenOf: (id) => String.fromCharCode(id),
  idOf: (token) => token.charCodeAt(0),
};

function answer(text: string, options: { stop?: string[]; end?: 'stop' | 'length' } = {}): Piece[] {
  const builder = new CompletionBuilder(bytes, bytes.encode('prompt'), {
    stop: options.stop ?? [],
    eosTokenIds: [0],
  });
  const ids = [...bytes.encode(text), ...(options.end === 'stop' ? [0] : [])];
  const pieces: Piece[] = [];
  for (const [index, id] of ids.entries()) {
    const last = index === ids.length - 1;
    const piece = builder.add({
      sequence: 1,
      id,
      ...(last ? { finished: options.end ?? 'length' } : {}),
    });
    if (piece !== undefined) pieces.push(piece);
    if (piece?.finishReason !== undefined) break;
  }
  return pieces;
}

const textOf = (pieces: readonly Piece[]): string => pieces.map(({ text }) => text).join('');
const tokensOf = (pieces: readonly Piece[]): number =>
  pieces.reduce((sum, { tokens }) => sum + tokens.length, 0);

describe('CompletionBuilder', () => {
  it('gives all text and all tokens, and ends with reason and usage', () => {
    const pieces = answer('a tower', { end: 'stop' });
    expect(textOf(pieces)).toBe('a tower');
    expect(tokensOf(pieces)).toBe(8);
    expect(pieces.at(-1)).toMatchObject({
      finishReason: 'stop',
      usage: { promptTokens: 6, outputTokens: 8 },
    });
  });

  it('never shows half a character', () => {
    const pieces = answer('naïve €');
    expect(textOf(pieces)).toBe('naïve €');
    expect(pieces.every(({ text }) => !text.includes('\uFFFD'))).toBe(true);
  });

  it('ends before a stop text, and counts the tokens it took to see it', () => {
    const pieces = answer('a tower with a light', { stop: [' with'] });
    expect(textOf(pieces)).toBe('a tower');
    expect(pieces.at(-1)).toMatchObject({ finishReason: 'stop', usage: { outputTokens: 12 } });
  });

  it('gives back what only looked like a stop text', () => {
    const pieces = answer('a tower wi', { stop: [' with'] });
    expect(textOf(pieces)).toBe('a tower wi');
    expect(pieces.at(-1)?.finishReason).toBe('length');
  });

  it('shows an incomplete character at the very end as U+FFFD rather than lose it', () => {
    const builder = new CompletionBuilder(bytes, [65], { stop: [], eosTokenIds: [0] });
    expect(builder.add({ sequence: 1, id: 0xe2 })).toBeUndefined();
    expect(builder.add({ sequence: 1, id: 0x82, finished: 'length' })?.text).toContain('\uFFFD');
  });
});
