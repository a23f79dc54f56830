import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConfigError } from '../../../src/errors.js';
import { readSafetensorsHeader } from '../../../src/weights/safetensors/read-safetensors-header.js';
import {
  parseSafetensorsHeader,
  type SafetensorsHeader,
} from '../../../src/weights/safetensors/safetensors-header.js';

const runs = { numRuns: 1000 };

/** Parses or refuses; anything but a typed refusal fails. What is accepted must be true. */
function survive(read: () => SafetensorsHeader, fileBytes: number): boolean {
  let header: SafetensorsHeader;
  try {
    header = read();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).code).toBe('ERR_CHECKPOINT_CORRUPT');
    expect((error as ConfigError).message.length).toBeLessThan(2000);
    return false;
  }
  const ordered = [...header.tensors.values()].toSorted(
    (a, b) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength,
  );
  for (const [index, { byteOffset, byteLength, shape }] of ordered.entries()) {
    expect(byteOffset + byteLength).toBe(ordered[index + 1]?.byteOffset ?? fileBytes);
    expect(shape.every((size) => Number.isSafeInteger(size) && size >= 0)).toBe(true);
  }
  return true;
}

const dtypes = ['F32', 'BF16', 'F16', 'U8', 'I64', 'F4'];
const tensorNames = fc.oneof(
  fc.constantFrom('a', 'b', '__metadata__', '__proto__', 'model.norm.weight'),
  fc.string(),
);
/** Values close to what stands in a header. */
const nearlyEntry = fc.record(
  {
    dtype: fc.oneof(fc.constantFrom(...dtypes), fc.jsonValue()),
    shape: fc.oneof(fc.array(fc.integer({ min: -1, max: 5 })), fc.jsonValue()),
    data_offsets: fc.oneof(
      fc.tuple(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 30 })),
      fc.jsonValue(),
    ),
  },
  { requiredKeys: [] },
);
const headers = fc.dictionary(tensorNames, fc.oneof(nearlyEntry, fc.jsonValue()));

/** A valid file of some tensors one after the other. */
const validFiles = fc
  .array(
    fc.record({
      dtype: fc.constantFrom('F32', 'BF16', 'U8'),
      shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
    }),
    { maxLength: 5 },
  )
  .map((tensors) => {
    const bytesOf: Readonly<Record<string, number>> = { F32: 4, BF16: 2, U8: 1 };
    const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
    let begin = 0;
    for (const [index, { dtype, shape }] of tensors.entries()) {
      const end = begin + shape.reduce((product, size) => product * size, bytesOf[dtype] ?? 0);
      header[`tensor.${index}`] = { dtype, shape, data_offsets: [begin, end] };
      begin = end;
    }
    const json = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    return Buffer.concat([length, json, Buffer.alloc(begin)]);
  });
const mutations = fc.array(
  fc.record({
    kind: fc.constantFrom('set', 'remove', 'insert', 'cut'),
    at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }),
  }),
  { minLength: 1, maxLength: 4 },
);

function mutate(file: Buffer, changes: typeof mutations extends fc.Arbitrary<infer T> ? T : never) {
  let bytes = file;
  for (const { kind, at, bytes: piece } of changes) {
    const start = Math.floor(at * bytes.length);
    const [head, tail] = [bytes.subarray(0, start), bytes.subarray(start)];
    if (kind === 'cut') bytes = Buffer.from(head);
    else if (kind === 'insert') bytes = Buffer.concat([head, piece, tail]);
    else if (kind === 'remove') bytes = Buffer.concat([head, tail.subarray(piece.length)]);
    else bytes = Buffer.concat([head, piece, tail.subarray(piece.length)]);
  }
  return bytes;
}

let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'megascale-fuzz-'));
});
afterAll(() => {
  rmSync(dir, { recursive: true });
});

function surviveFile(bytes: Uint8Array): boolean {
  const file = join(dir, 'model.safetensors');
  writeFileSync(file, bytes);
  return survive(() => readSafetensorsHeader(file), bytes.length);
}

describe('a hostile safetensors file', { timeout: 120_000 }, () => {
  it('of random bytes is refused by a typed error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        surviveFile(bytes);
        const header = Uint8Array.from([0x7b, ...bytes]);
        survive(() => parseSafetensorsHeader(header, { file: 'f', fileBytes: 100 }), 100);
      }),
      runs,
    );
  });

  it('of arbitrary JSON is refused by a typed error, or true', () => {
    fc.assert(
      fc.property(headers, fc.integer({ min: 0, max: 40 }), (header, dataBytes) => {
        const bytes = new TextEncoder().encode(JSON.stringify(header));
        const fileBytes = 8 + bytes.length + dataBytes;
        survive(() => parseSafetensorsHeader(bytes, { file: 'f', fileBytes }), fileBytes);
      }),
      runs,
    );
  });

  it('is accepted when valid, and refused or true after any mutation', () => {
    fc.assert(
      fc.property(validFiles, mutations, (file, changes) => {
        expect(surviveFile(file)).toBe(true);
        surviveFile(mutate(file, changes));
      }),
      runs,
    );
  });

  it('of deep nesting does not exhaust the stack', () => {
    const depth = 200_000;
    const text = `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`;
    const bytes = new TextEncoder().encode(text);
    const fileBytes = 8 + bytes.length;
    expect(survive(() => parseSafetensorsHeader(bytes, { file: 'f', fileBytes }), fileBytes)).toBe(
      false,
    );
  });
});
