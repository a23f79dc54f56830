import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConfigError } from '../../../src/errors.js';
import { buildModelGraph } from '../../../src/families/registry.js';
import { checkWeights, requiredWeights } from '../../../src/weights/checkpoint/check-weights.js';
import { openCheckpoint } from '../../../src/weights/checkpoint/checkpoint.js';
import { quantizeCheckpoint } from '../../../src/weights/quantized/quantize-checkpoint.js';
import { makeRandomCheckpoint } from '../../../src/weights/random/random-checkpoint.js';
import { readF32 } from '../../../src/weights/safetensors/read-f32.js';

const formats = ['int8', 'int4'] as const;
let dir = '';
const at = (...names: string[]): string => join(dir, ...names);
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'megascale-fuzz-'));
  await makeRandomCheckpoint(at('plain'), {
    family: 'mixtral',
    hidden: 16,
    layers: 1,
    experts: 2,
    topK: 1,
    expertWidth: 16,
    heads: 2,
    kvHeads: 1,
    vocab: 20,
    seed: 1,
  });
  for (const format of formats) {
    await quantizeCheckpoint(at('plain'), at(format), { format, groupSize: 8 });
  }
});
afterAll(() => {
  rmSync(dir, { recursive: true });
});

/** Opens and reads everything. Only typed errors may come out, and what comes out has its size. */
function survive(format: string): void {
  try {
    const { config, weights } = openCheckpoint(at(format));
    const model = buildModelGraph(config);
    checkWeights(model, weights);
    for (const { name, shape } of requiredWeights(model)) {
      const location = weights.locate(name, shape);
      expect(readF32(weights, location)).toHaveLength(shape.reduce((a, b) => a * b));
    }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.message.length).toBeLessThan(2000);
  }
}

function surviveWith(format: string, name: string, content: Buffer | string): void {
  const file = at(format, name);
  const original = readFileSync(file);
  writeFileSync(file, content);
  try {
    survive(format);
  } finally {
    writeFileSync(file, original);
  }
}

interface Header {
  readonly json: Record<string, { dtype: string; shape: number[]; data_offsets: number[] }>;
  readonly data: Buffer;
}

function readHeader(format: string): Header {
  const bytes = readFileSync(at(format, 'model.safetensors'));
  const end = 8 + Number(bytes.readBigUInt64LE());
  return {
    json: JSON.parse(bytes.toString('utf8', 8, end)) as Header['json'],
    data: bytes.subarray(end),
  };
}

function withHeader({ json, data }: Header): Buffer {
  const header = Buffer.from(JSON.stringify(json));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, data]);
}

/** Element types and shapes of the same number of bytes: a header that is valid, and wrong. */
const dtypes = ['I8', 'U8', 'I16', 'BF16', 'F16', 'I32', 'F32', 'I64', 'F8_E4M3'];
const sizes = fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 3 });
const pick = fc.nat(10_000);

describe.each(formats)('a hostile %s checkpoint', { timeout: 120_000 }, (format) => {
  it('gives typed errors for any tensor with another type, shape or name', () => {
    const { json, data } = readHeader(format);
    const names = Object.keys(json).filter((name) => name !== '__metadata__');
    const endings = ['_scale', '_packed', '_shape', '_zero_point', '_g_idx', ''];
    survive(format);
    fc.assert(
      fc.property(
        pick,
        fc.option(fc.constantFrom(...dtypes)),
        fc.option(sizes),
        fc.option(fc.constantFrom(...endings)),
        (index, dtype, shape, ending) => {
          const name = names[index % names.length] ?? '';
          const { [name]: entry, ...others } = json;
          if (entry === undefined) throw new TypeError(name);
          const renamed = ending === null ? name : name.replace(/weight\w*$/, `weight${ending}`);
          const changed = { ...entry, dtype: dtype ?? entry.dtype, shape: shape ?? entry.shape };
          surviveWith(
            format,
            'model.safetensors',
            withHeader({ json: { ...others, [renamed]: changed }, data }),
          );
        },
      ),
      { numRuns: 300 },
    );
  });

  it('gives typed errors for any bytes of its tensors', () => {
    const bytes = readFileSync(at(format, 'model.safetensors'));
    fc.assert(
      fc.property(pick, fc.uint8Array({ minLength: 1, maxLength: 16 }), (index, piece) => {
        const copy = Buffer.from(bytes);
        copy.set(piece, (index * 7919) % (bytes.length - piece.length));
        surviveWith(format, 'model.safetensors', copy);
      }),
      { numRuns: 200 },
    );
  });

  it('gives typed errors for any quantization_config', () => {
    const config = JSON.parse(readFileSync(at(format, 'config.json'), 'utf8')) as object;
    fc.assert(
      fc.property(fc.jsonValue(), (quantization_config) => {
        const text = JSON.stringify({ ...config, quantization_config });
        surviveWith(format, 'config.json', text);
      }),
      { numRuns: 200 },
    );
  });
});
