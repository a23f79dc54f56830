import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../../../src/errors.js';
import type { QuantizedForms } from '../../../../src/weights/quantized/quantization-config.js';
import {
  quantizedTensors,
  type QuantizedTensors,
} from '../../../../src/weights/quantized/quantized-tensors.js';

const forms: QuantizedForms = [{ bits: 4, groupSize: 32 }, { bits: 8 }, { bits: 8, groupSize: 16 }];
type Tensors = Readonly<Record<string, readonly [dtype: string, ...shape: number[]]>>;

/** X.weight_shape of every matrix. */
let stated: readonly [number | bigint, number | bigint] = [4, 64];

/** `config`: whether config.json says how, or nothing. */
function read(tensors: Tensors, config: 'says' | 'silent' = 'says'): QuantizedTensors {
  const stored = new Map(
    Object.entries(tensors).map(([name, [dtype, ...shape]], index) => [
      name,
      { name, dtype, shape, file: '/f', byteOffset: 100 * index, byteLength: 7 },
    ]),
  );
  const readBytes = ({ dtype }: { readonly dtype: string }): Uint8Array => {
    const numbers = stated.map(BigInt);
    return dtype === 'I64'
      ? new Uint8Array(BigInt64Array.from(numbers).buffer)
      : new Uint8Array(Int32Array.from(numbers, Number).buffer);
  };
  return quantizedTensors({ stored, forms: config === 'says' ? forms : undefined, readBytes });
}

const int8: Tensors = { 'x.weight': ['I8', 4, 64], 'x.weight_scale': ['BF16', 4, 1] };
const int4: Tensors = {
  'x.weight_packed': ['I32', 4, 8],
  'x.weight_scale': ['F16', 4, 2],
  'x.weight_shape': ['I64', 2],
};

describe('quantizedTensors', () => {
  it('joins the integers of a matrix with their scales', () => {
    const { matrices, companions } = read({ ...int8, 'norm.weight': ['BF16', 64] });
    expect([...matrices.values()]).toEqual([
      {
        name: 'x.weight',
        dtype: 'I8',
        shape: [4, 64],
        file: '/f',
        byteOffset: 0,
        byteLength: 7,
        scales: {
          name: 'x.weight_scale',
          dtype: 'BF16',
          shape: [4, 1],
          file: '/f',
          byteOffset: 100,
          byteLength: 7,
        },
      },
    ]);
    expect([...companions]).toEqual(['x.weight_scale']);
  });

  it.each([
    ['I64', 4, 64, 8],
    ['I32', 4, 64, 8],
    ['I64', 4, 96, 12],
  ])(
    'knows a packed matrix by the name and shape of the model (%s)',
    (dtype, rows, columns, words) => {
      stated = [rows, columns];
      const tensors: Tensors = {
        'x.weight_packed': ['I32', rows, words],
        'x.weight_scale': ['F32', rows, columns / 32],
        'x.weight_shape': [dtype, 2],
      };
      const { matrices, companions } = read(tensors);
      expect([...matrices.keys()]).toEqual(['x.weight']);
      expect(matrices.get('x.weight')).toMatchObject({ dtype: 'I4', shape: [rows, columns] });
      expect([...companions].toSorted()).toEqual(Object.keys(tensors).toSorted());
    },
  );

  it('leaves checkpoints alone that are not quantized', () => {
    const { matrices } = read({ 'x.weight': ['BF16', 4, 64], ids: ['I8', 4] }, 'silent');
    expect(matrices.size).toBe(0);
  });

  it('asks for the config that says how', () => {
    expect(refusal(int8, 'silent')).toMatchObject({ code: 'ERR_CONFIG_FIELD' });
  });

  it.each<[string, Tensors, string]>([
    ['a vector', { 'x.weight': ['I8', 64], 'x.weight_scale': ['BF16', 64, 1] }, 'only matrices'],
    ['an empty matrix', { ...int8, 'x.weight': ['I8', 0, 64] }, 'only matrices'],
    ['scales of other rows', { ...int8, 'x.weight_scale': ['BF16', 5, 1] }, 'groups divides 64'],
    ['scales in one dimension', { ...int8, 'x.weight_scale': ['BF16', 4] }, 'groups divides 64'],
    ['no groups', { ...int8, 'x.weight_scale': ['BF16', 4, 0] }, 'groups divides 64'],
    [
      'groups that do not divide',
      { ...int8, 'x.weight_scale': ['BF16', 4, 3] },
      'groups divides 64',
    ],
    [
      'a group size nobody named',
      { ...int8, 'x.weight_scale': ['BF16', 4, 2] },
      'no group of quantization_config',
    ],
    [
      '8-bit group sizes with 4 bits',
      { ...int4, 'x.weight_scale': ['F16', 4, 4] },
      'no group of quantization_config',
    ],
    ['scales of 8 bits', { ...int8, 'x.weight_scale': ['F8_E8M0', 4, 1] }, 'scales of F8_E8M0'],
    ['zero points', { ...int8, 'x.weight_zero_point': ['I8', 4, 1] }, 'x.weight_zero_point'],
    ['an order of columns', { ...int4, 'x.weight_g_idx': ['I32', 64] }, 'x.weight_g_idx'],
    ['scales of activations', { ...int8, 'x.input_scale': ['F32', 1] }, 'x.input_scale'],
    [
      '8-bit floats',
      { 'x.weight': ['F8_E4M3', 4, 64], 'x.weight_scale': ['F32', 1] },
      'x.weight_scale',
    ],
    ['packed words of another type', { ...int4, 'x.weight_packed': ['I64', 4, 8] }, 'expected I32'],
    ['a packed vector', { ...int4, 'x.weight_packed': ['I32', 8] }, 'only matrices'],
    ['both forms', { ...int4, 'x.weight': ['BF16', 4, 64] }, 'beside x.weight'],
    ['a shape that is no pair', { ...int4, 'x.weight_shape': ['I64', 3] }, 'as I64 [2]'],
    ['a shape of floats', { ...int4, 'x.weight_shape': ['F32', 2] }, 'as I64 [2]'],
    [
      'no scales',
      { 'x.weight_packed': ['I32', 4, 8], 'x.weight_shape': ['I64', 2] },
      'needs x.weight_scale',
    ],
    [
      'no shape',
      { 'x.weight_packed': ['I32', 4, 8], 'x.weight_scale': ['F16', 4, 2] },
      'needs x.weight_shape',
    ],
    ['the layout of GPTQ', { 'x.qweight': ['I32', 8, 4], 'x.scales': ['F16', 2, 4] }, 'x.qweight'],
  ])('refuses %s', (_, tensors, message) => {
    stated = [4, 64];
    const error = refusal(tensors);
    expect(error.code).toBe('ERR_WEIGHT_FORMAT');
    expect(error.message).toContain(message);
  });

  it.each<readonly [number | bigint, number | bigint]>([
    [4, 56],
    [4, 65],
    [5, 64],
    [4, 0],
    [4, -64],
    [4, 2n ** 62n],
    [-4, 64],
  ])('refuses the stated shape [%d, %d] of 4 rows of 8 words', (rows, columns) => {
    stated = [rows, columns];
    expect(refusal(int4)).toMatchObject({ code: 'ERR_WEIGHT_FORMAT' });
  });
});

function refusal(tensors: Tensors, config: 'says' | 'silent' = 'says'): ConfigError {
  try {
    read(tensors, config);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('Expected a refusal.');
}
