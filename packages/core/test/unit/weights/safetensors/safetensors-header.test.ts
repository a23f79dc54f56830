import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../../../src/errors.js';
import {
  parseSafetensorsHeader,
  type SafetensorsHeader,
} from '../../../../src/weights/safetensors/safetensors-header.js';

const file = '/models/tiny/model.safetensors';

function parse(header: unknown, dataBytes: number): SafetensorsHeader {
  return parseText(JSON.stringify(header), dataBytes);
}

function parseText(text: string, dataBytes: number): SafetensorsHeader {
  const bytes = new TextEncoder().encode(text);
  return parseSafetensorsHeader(bytes, { file, fileBytes: 8 + bytes.length + dataBytes });
}

function reasonOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    expect(error).toMatchObject({ code: 'ERR_CHECKPOINT_CORRUPT', details: { file } });
    return (error as ConfigError).message;
  }
  throw new Error('nothing was thrown');
}

const tensor = (dtype: string, shape: unknown, begin: unknown, end: unknown): unknown => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

describe('parseSafetensorsHeader', () => {
  it('reads an empty header', () => {
    expect(parse({}, 0).tensors.size).toBe(0);
  });

  it('reads tensors in any order, scalars, empty tensors and metadata', () => {
    const header = parse(
      {
        b: tensor('F32', [], 12, 16),
        __metadata__: { format: 'pt' },
        a: tensor('BF16', [2, 3], 0, 12),
        none: tensor('F16', [0, 5], 12, 12),
      },
      16,
    );
    const dataStart = header.tensors.get('a')?.byteOffset ?? 0;
    expect(header.tensors.get('a')).toEqual({
      name: 'a',
      dtype: 'BF16',
      shape: [2, 3],
      byteOffset: dataStart,
      byteLength: 12,
    });
    expect(header.tensors.get('b')).toMatchObject({ byteOffset: dataStart + 12, byteLength: 4 });
    expect(header.tensors.get('none')).toMatchObject({ byteLength: 0 });
    expect(header.metadata.get('format')).toBe('pt');
  });

  it('takes trailing spaces as padding and element types below a byte', () => {
    const text = `${JSON.stringify({ a: tensor('F4', [3, 2], 0, 3) })}    `;
    expect(parseText(text, 3).tensors.get('a')?.byteLength).toBe(3);
  });

  it('keeps a tensor named like a property of objects', () => {
    const text = `{"__proto__":${JSON.stringify(tensor('F16', [1], 0, 2))}}`;
    expect([...parseText(text, 2).tensors.keys()]).toEqual(['__proto__']);
  });

  it('says how many bytes a truncated file lacks', () => {
    const message = reasonOf(() => parse({ a: tensor('F32', [10], 0, 40) }, 15));
    expect(message).toContain(file);
    expect(message).toContain('truncated: 25 bytes are missing');
  });

  it.each<[string, unknown, number, string]>([
    ['bytes after the last tensor', { a: tensor('F16', [2], 0, 4) }, 6, 'last 2 bytes'],
    [
      'an overlap',
      { a: tensor('F16', [2], 0, 4), b: tensor('F16', [2], 2, 6) },
      6,
      '"b" overlaps the tensor before it',
    ],
    [
      'a gap',
      { a: tensor('F16', [2], 0, 4), b: tensor('F16', [2], 6, 10) },
      10,
      '"b" leaves a gap before it',
    ],
    ['a gap at the start', { a: tensor('F16', [2], 2, 6) }, 6, '"a" leaves a gap before it'],
    ['a reversed range', { a: tensor('F16', [0], 4, 2) }, 4, 'ends at 2, before it begins at 4'],
    ['too few bytes', { a: tensor('F32', [2], 0, 4) }, 4, 'takes 8'],
    ['an unknown dtype', { a: tensor('F80', [2], 0, 20) }, 20, 'unknown dtype "F80"'],
    ['a missing dtype', { a: { shape: [2], data_offsets: [0, 4] } }, 4, 'unknown dtype nothing'],
    ['a negative size', { a: tensor('F16', [-1], 0, 2) }, 2, 'has the shape [-1]'],
    ['a fraction of an element', { a: tensor('F16', [1.5], 0, 3) }, 3, 'has the shape [1.5]'],
    ['a fraction of a byte', { a: tensor('F4', [3], 0, 1) }, 1, 'takes 1.5'],
    ['a shape that is no list', { a: tensor('F16', 2, 0, 4) }, 4, 'has the shape 2'],
    ['a size beyond numbers', { a: tensor('F16', [2 ** 40, 2 ** 40], 0, 2) }, 2, 'impossible'],
    ['sizes that hide behind 0', { a: tensor('U8', [2 ** 40, 2 ** 40, 0], 0, 0) }, 0, 'impossible'],
    ['offsets in text', { a: tensor('F16', [1], '0', '2') }, 2, 'data_offsets'],
    [
      'three offsets',
      { a: { dtype: 'U8', shape: [], data_offsets: [0, 1, 1] } },
      1,
      '[begin, end]',
    ],
    ['a number for a tensor', { a: 3 }, 0, 'not described by an object'],
    ['metadata that is no object', { __metadata__: [] }, 0, 'not an object of strings'],
    ['metadata of numbers', { __metadata__: { a: 1 } }, 0, 'not an object of strings'],
  ])('refuses %s', (_, header, dataBytes, reason) => {
    expect(reasonOf(() => parse(header, dataBytes))).toContain(reason);
  });

  it.each([
    ['text before the object', ' {}', 'does not begin with "{"'],
    ['an array', '[]', 'does not begin with "{"'],
    ['nothing', '', 'does not begin with "{"'],
    ['half an object', '{"a":', 'not JSON'],
  ])('refuses %s', (_, text, reason) => {
    expect(reasonOf(() => parseText(text, 0))).toContain(reason);
  });

  it('refuses bytes that are not UTF-8', () => {
    const bytes = Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d);
    expect(reasonOf(() => parseSafetensorsHeader(bytes, { file, fileBytes: 13 }))).toContain(
      'not JSON',
    );
  });

  it('refuses a name stated twice, also when it is escaped or its ranges are equal', () => {
    const value = JSON.stringify(tensor('F16', [1], 0, 2));
    expect(reasonOf(() => parseText(`{"a":${value},"\\u0061" : ${value}}`, 2))).toContain(
      'names "a" twice',
    );
  });
});
