import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../../../src/errors.js';
import {
  quantizationConfig,
  readQuantizationConfig,
} from '../../../../src/weights/quantized/quantization-config.js';

const scheme = { num_bits: 4, type: 'int', symmetric: true, strategy: 'group', group_size: 128 };
const group = { targets: ['Linear'], weights: scheme };
const field = {
  quant_method: 'compressed-tensors',
  format: 'pack-quantized',
  config_groups: { group_0: group },
};
const withWeights = (change: object): object => ({
  ...field,
  config_groups: { group_0: { ...group, weights: { ...scheme, ...change } } },
});
const withGroup = (change: object): object => ({
  ...field,
  config_groups: { group_0: { ...group, ...change } },
});
const int8 = { num_bits: 8, strategy: 'channel', group_size: null };

describe('readQuantizationConfig', () => {
  it('finds nothing where nothing is said', () => {
    for (const config of [{}, { quantization_config: null }, null, 'x']) {
      expect(readQuantizationConfig(config)).toBeUndefined();
    }
  });

  it.each([
    ['groups', field, { bits: 4, groupSize: 128 }],
    ['rows', withWeights({ strategy: 'channel', group_size: null }), { bits: 4 }],
    ['rows by group size', withWeights({ strategy: null, group_size: -1 }), { bits: 4 }],
    [
      'an order of columns that was undone',
      withWeights({ actorder: 'static' }),
      { bits: 4, groupSize: 128 },
    ],
    ['8 bits', { ...withWeights(int8), format: 'int-quantized' }, { bits: 8 }],
    [
      '8 bits with activations to be quantized as well',
      {
        ...field,
        format: 'int-quantized',
        config_groups: {
          group_0: {
            weights: int8,
            input_activations: { num_bits: 8, type: 'int', dynamic: true, strategy: 'token' },
          },
        },
      },
      { bits: 8 },
    ],
  ])('reads %s', (_, quantization_config, form) => {
    expect(readQuantizationConfig({ quantization_config })).toEqual([form]);
  });

  it('reads what it writes', () => {
    const groups = [
      { form: { bits: 4, groupSize: 32 }, targets: ['Linear'] },
      { form: { bits: 8 }, targets: ['lm_head'] },
    ] as const;
    const written = quantizationConfig({ groups, ignored: ['model.layers.0.mlp.gate'] });
    expect(written).toMatchObject({
      format: 'mixed-precision',
      ignore: ['model.layers.0.mlp.gate'],
    });
    expect(readQuantizationConfig({ quantization_config: written })).toEqual(
      groups.map(({ form }) => form),
    );
    const [, only] = groups;
    expect(quantizationConfig({ groups: [only], ignored: [] })).toMatchObject({
      format: 'int-quantized',
    });
  });

  it.each([
    ['quant_method', { ...field, quant_method: 'awq' }, '"awq"'],
    ['quant_method', { bits: 4 }, 'megascale quantize'],
    ['format', { ...field, format: 'float-quantized' }, 'expected'],
    ['quantization_status', { ...field, quantization_status: 'frozen' }, ''],
    ['kv_cache_scheme', { ...field, kv_cache_scheme: { num_bits: 8 } }, ''],
    ['moe_sparsity_config', { ...field, moe_sparsity_config: {} }, ''],
    ['sparsity_config', { ...field, sparsity_config: { format: 'sparse-24' } }, ''],
    ['config_groups', { ...field, config_groups: 4 }, ''],
    ['config_groups.group_0.weights', withGroup({ weights: null }), ''],
    ['config_groups.group_0.weights.num_bits', withWeights({ num_bits: 3 }), ''],
    ['config_groups.group_0.weights.num_bits', withWeights({ num_bits: 8 }), 'expected 4'],
    ['config_groups.group_0.weights.type', withWeights({ type: 'float' }), ''],
    ['config_groups.group_0.weights.symmetric', withWeights({ symmetric: false }), ''],
    ['config_groups.group_0.weights.strategy', withWeights({ strategy: 'tensor' }), ''],
    [
      'config_groups.group_0.weights.strategy',
      withWeights({ strategy: null, group_size: null }),
      '',
    ],
    ['config_groups.group_0.weights.group_size', withWeights({ group_size: 0 }), ''],
    ['config_groups.group_0.weights.actorder', withWeights({ actorder: 'group' }), ''],
    ['config_groups.group_0.weights.actorder', withWeights({ actorder: true }), ''],
    ['config_groups.group_0.weights.dynamic', withWeights({ dynamic: true }), ''],
    [
      'config_groups.group_0.input_activations.dynamic',
      withGroup({ input_activations: { num_bits: 8, dynamic: false } }),
      '',
    ],
    ['config_groups.group_0.output_activations', withGroup({ output_activations: {} }), ''],
  ])('refuses %s of %j by name', (path, quantization_config, message) => {
    const error = failure(() => readQuantizationConfig({ quantization_config }));
    expect(error.code).toBe('ERR_CONFIG_FIELD');
    expect(error.details).toMatchObject({ path: `quantization_config.${path}` });
    expect(error.message).toContain(message);
  });
});

function failure(run: () => unknown): ConfigError {
  try {
    run();
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('Expected a refusal.');
}
