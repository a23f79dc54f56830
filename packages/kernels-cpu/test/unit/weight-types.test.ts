import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  MegascaleError,
  referenceBackend,
  type Backend,
  type TensorLocation,
  type WeightDType,
  type WeightSource,
} from '@megascale/core';
import { promptLogits, SeededRandom, tinyMixtral } from '@megascale/core/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cpuBackend } from '../../src/index.js';
import { distance, expectSameBits, open } from '../support/compare.js';

/**
 * Every expert takes part, so rounding cannot make a router choose another one; odd sizes leave a
 * half pair in every row.
 */
const model = tinyMixtral({
  config: { num_experts_per_tok: 8, intermediate_size: 45, hidden_size: 77, head_dim: 20 },
});
const tokenIds = new SeededRandom(4).tokenIds(30, model.graph.sizes.vocabSize);

describe('weights from a file', () => {
  let folder: string;
  let cpu: Backend;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'megascale-weights-'));
    cpu = await cpuBackend.create({ threads: 2 });
  });
  afterAll(() => {
    cpu.close();
    rmSync(folder, { recursive: true });
  });

  it('of type BF16 are the same as from memory, whatever their place in the file', async () => {
    const expected = await logits(cpu, model.weights);
    for (const shift of [0, 2, 4098]) {
      const weights = fileSource(join(folder, `bf16-${shift}`), 'BF16', shift);
      expectSameBits(await logits(cpu, weights), expected, `at ${shift} bytes`);
    }
  });

  it('of type F32 that hold bf16 numbers are the same as BF16', async () => {
    const weights = fileSource(join(folder, 'f32'), 'F32', 8);
    expectSameBits(await logits(cpu, weights), await logits(cpu, model.weights), 'F32');
  });

  it('of type F16 match the reference on the same file', async () => {
    const weights = fileSource(join(folder, 'f16'), 'F16', 6);
    const expected = await logits(await referenceBackend.create(), weights);
    expect(distance(await logits(cpu, weights), expected)).toBeLessThanOrEqual(0.03);
  });

  it('that end too early are refused, and the file is named', async () => {
    const path = join(folder, 'short');
    const weights = fileSource(path, 'BF16', 0);
    writeFileSync(path, new Uint8Array(1000));
    const thrown: unknown = await logits(cpu, weights).catch((error: unknown) => error);
    if (!MegascaleError.isInstance(thrown)) throw new Error('expected a MegascaleError');
    expect(thrown.code).toBe('ERR_CHECKPOINT_CORRUPT');
    expect(thrown.message).toContain(path);
  });
});

async function logits(backend: Backend, weights: WeightSource): Promise<Float32Array> {
  const colocated = await open(backend, model.graph, weights);
  const found = promptLogits(colocated, tokenIds);
  colocated.close();
  return found;
}

/** The model's weights in one file, the first tensor `shift` bytes from its start. */
function fileSource(path: string, dtype: WeightDType, shift: number): WeightSource {
  const parts: Uint8Array[] = [new Uint8Array(shift)];
  const tensors = new Map<string, TensorLocation>();
  let byteOffset = shift;
  for (const location of model.weights.tensors.values()) {
    const bytes = convert(model.weights.read(location), dtype);
    const byteLength = bytes.length;
    tensors.set(location.name, { ...location, dtype, file: path, byteOffset, byteLength });
    parts.push(bytes);
    byteOffset += byteLength;
  }
  const file = Buffer.concat(parts);
  writeFileSync(path, file);
  return {
    tensors,
    locate: (name, shape) => {
      model.weights.locate(name, shape);
      const location = tensors.get(name);
      if (location === undefined) throw new RangeError(name);
      return location;
    },
    read: ({ byteOffset: start, byteLength }) =>
      Uint8Array.from(file.subarray(start, start + byteLength)),
  };
}

/** bf16 bytes as another type; F16 keeps what fits. */
function convert(bytes: Uint8Array, dtype: WeightDType): Uint8Array {
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  if (dtype === 'BF16') return bytes;
  const words = Uint32Array.from(halves, (bits) => bits << 16);
  if (dtype === 'F32') return new Uint8Array(words.buffer);
  const numbers = new Float32Array(words.buffer);
  return new Uint8Array(Uint16Array.from(numbers, toHalf).buffer);
}

/**
 * To f16: normal numbers exactly where f16 has their exponent, small ones as subnormals cut towards
 * 0.
 */
function toHalf(value: number): number {
  const sign = value < 0 ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (magnitude < 2 ** -14) return sign | Math.floor(magnitude * 2 ** 24);
  const exponent = Math.floor(Math.log2(magnitude));
  const fraction = Math.floor((magnitude / 2 ** exponent - 1) * 1024);
  return sign | ((exponent + 15) << 10) | fraction;
}
