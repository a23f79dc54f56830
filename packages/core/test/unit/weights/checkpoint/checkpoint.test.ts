import { mkdtempSync, mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigError } from '../../../../src/errors.js';
import { openCheckpoint } from '../../../../src/weights/checkpoint/checkpoint.js';
import { writeCheckpointTensors } from '../../../../src/weights/checkpoint/write-checkpoint-tensors.js';
import type { TensorToWrite } from '../../../../src/weights/safetensors/write-safetensors.js';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'megascale-checkpoint-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

/** A BF16 tensor whose element i has the bits base + i. */
function ramp(name: string, shape: readonly number[], base: number): TensorToWrite {
  const count = shape.reduce((product, size) => product * size, 1);
  const bits = Uint16Array.from({ length: count }, (_, index) => base + index);
  const bytes = new Uint8Array(bits.buffer);
  const half = bytes.length >> 1;
  return {
    name,
    dtype: 'BF16',
    shape,
    chunks: () => [bytes.subarray(0, half), bytes.subarray(half)],
  };
}

const tensors = [
  ramp('model.embed_tokens.weight', [4, 3], 0),
  ramp('model.norm.weight', [3], 100),
  ramp('lm_head.weight', [4, 3], 200),
];

async function writeModel(shardBytesMax?: number): Promise<void> {
  writeFileSync(join(dir, 'config.json'), '{"eos_token_id":3}');
  await writeCheckpointTensors(dir, tensors, shardBytesMax === undefined ? {} : { shardBytesMax });
}

function failure(run: () => unknown): ConfigError {
  try {
    run();
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('openCheckpoint', () => {
  it.each([
    ['in one file', undefined],
    ['in shards', 30],
  ])('gives back the bytes that were written, %s', async (_, shardBytesMax) => {
    await writeModel(shardBytesMax);
    const { weights, config, generationConfig } = openCheckpoint(dir);
    expect(config).toEqual({ eos_token_id: 3 });
    expect(generationConfig.eosTokenIds).toEqual([3]);
    expect([...weights.tensors.keys()]).toEqual(tensors.map(({ name }) => name));
    for (const tensor of tensors) {
      const location = weights.locate(tensor.name, tensor.shape);
      const expected = Buffer.concat([...tensor.chunks()]);
      expect(Buffer.from(weights.read(location)).equals(expected)).toBe(true);
    }
  });

  it('begins the data at a multiple of 64 bytes', async () => {
    await writeModel();
    const { byteOffset } = openCheckpoint(dir).weights.locate('model.embed_tokens.weight', [4, 3]);
    expect(byteOffset % 64).toBe(0);
  });

  it('names near matches of an absent tensor', async () => {
    await writeModel();
    const { weights } = openCheckpoint(dir);
    const error = failure(() => weights.locate('norm.weight', [3]));
    expect(error.code).toBe('ERR_WEIGHT_MISSING');
    expect(error.message).toContain('Did it mean model.norm.weight?');
    const typo = failure(() => weights.locate('model.embed_token.weight', [4, 3]));
    expect(typo.message).toContain('Did it mean model.embed_tokens.weight?');
  });

  it('states both shapes and the file where a shape differs', async () => {
    await writeModel();
    const { weights } = openCheckpoint(dir);
    const error = failure(() => weights.locate('lm_head.weight', [3, 4]));
    expect(error.code).toBe('ERR_WEIGHT_SHAPE');
    expect(error.message).toContain('[4, 3]');
    expect(error.message).toContain('[3, 4]');
    expect(error.message).toContain('model.safetensors');
    expect(failure(() => weights.locate('lm_head.weight', [4])).code).toBe('ERR_WEIGHT_SHAPE');
  });

  it('says that an element type is not readable', () => {
    writeFileSync(join(dir, 'config.json'), '{}');
    const header = '{"a":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}';
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    writeFileSync(
      join(dir, 'model.safetensors'),
      Buffer.concat([length, Buffer.from(header), Buffer.alloc(2)]),
    );
    const error = failure(() => openCheckpoint(dir).weights.locate('a', [2]));
    expect(error.code).toBe('ERR_WEIGHT_MISSING');
    expect(error.message).toContain('F8_E4M3');
  });

  it.each([
    ['no directory', () => join(dir, 'absent'), 'There is no directory'],
    ['a file', () => fileWith('x', ''), 'is not a directory'],
    ['no config.json', () => dir, 'has no config.json'],
    ['no weights', () => withConfig('{}'), 'neither model.safetensors'],
    [
      'only .bin files',
      () => {
        fileWith('pytorch_model.bin', '');
        return withConfig('{}');
      },
      'Convert its .bin files',
    ],
  ])('refuses %s as missing', (_, path, words) => {
    const error = failure(() => openCheckpoint(path()));
    expect(error.code).toBe('ERR_CHECKPOINT_MISSING');
    expect(error.message).toContain(words);
  });

  it.each([
    ['half an object', '{'],
    ['an array', '[]'],
    ['null', 'null'],
  ])('refuses a config.json of %s', (_, text) => {
    const error = failure(() => openCheckpoint(withConfig(text)));
    expect(error.code).toBe('ERR_CHECKPOINT_CORRUPT');
    expect(error.message).toContain('config.json');
  });

  it('says how much of a truncated file is missing', async () => {
    await writeModel();
    const size = openCheckpoint(dir).weights.locate('lm_head.weight', [4, 3]);
    truncateSync(join(dir, 'model.safetensors'), size.byteOffset);
    expect(failure(() => openCheckpoint(dir)).message).toContain('24 bytes are missing');
    truncateSync(join(dir, 'model.safetensors'), 20);
    expect(failure(() => openCheckpoint(dir)).message).toContain('of its header are missing');
    truncateSync(join(dir, 'model.safetensors'), 3);
    expect(failure(() => openCheckpoint(dir)).message).toContain('5 bytes of the header length');
  });

  it('refuses a header length beyond the limit without reading it', () => {
    const length = Buffer.alloc(16);
    length.writeBigUInt64LE(0xffffffffffffffffn);
    withConfig('{}');
    writeFileSync(join(dir, 'model.safetensors'), length);
    expect(failure(() => openCheckpoint(dir)).message).toContain('at most 100000000 are allowed');
  });
});

describe('a sharded checkpoint', () => {
  it('names an absent shard', async () => {
    await writeModel(30);
    rmSync(join(dir, 'model-00002-of-00002.safetensors'));
    const error = failure(() => openCheckpoint(dir));
    expect(error.code).toBe('ERR_CHECKPOINT_MISSING');
    expect(error.message).toContain('model-00002-of-00002.safetensors');
  });

  it.each([
    ['../model-00001-of-00002.safetensors'],
    ['/etc/hostname'],
    ['sub/../../x'],
    ['..'],
    ['.'],
    ['a\0b'],
  ])('never opens a shard outside its directory: %j', (shard) => {
    const error = failure(() => openCheckpoint(withIndex({ weight_map: { a: shard } })));
    expect(error.code).toBe('ERR_CHECKPOINT_CORRUPT');
    expect(error.message).toContain('outside its directory');
  });

  it.each([
    ['no map', {}],
    ['a list', { weight_map: [] }],
    ['numbers', { weight_map: { a: 1 } }],
  ])('refuses an index with %s', (_, index) => {
    expect(failure(() => openCheckpoint(withIndex(index))).code).toBe('ERR_CHECKPOINT_CORRUPT');
  });

  it('refuses an index that disagrees with the headers', async () => {
    await writeModel(30);
    const [first = '', second = ''] = ['00001', '00002'].map(
      (part) => `model-${part}-of-00002.safetensors`,
    );
    const right = {
      'model.embed_tokens.weight': first,
      'model.norm.weight': first,
      'lm_head.weight': second,
    };
    expect(openCheckpoint(withIndex({ weight_map: right })).weights.tensors.size).toBe(3);
    const moved = { ...right, 'model.norm.weight': second };
    expect(failure(() => openCheckpoint(withIndex({ weight_map: moved }))).message).toContain(
      'model.norm.weight is not in',
    );
    const short = Object.fromEntries(
      Object.entries(right).filter(([name]) => name !== 'model.norm.weight'),
    );
    expect(failure(() => openCheckpoint(withIndex({ weight_map: short }))).message).toContain(
      'not in its weight_map',
    );
  });
});

function fileWith(name: string, text: string): string {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
}

function withConfig(text: string): string {
  fileWith('config.json', text);
  return dir;
}

function withIndex(index: unknown): string {
  mkdirSync(dir, { recursive: true });
  fileWith('model.safetensors.index.json', JSON.stringify(index));
  return withConfig('{}');
}
