import { describe, expect, it } from 'vitest';
import { MegascaleError } from '../../../src/errors.js';
import { tinyMixtral, tinyQwen3Moe } from '../../../src/testing/backend/tiny-models.js';
import { mixtral } from '../../../src/families/mixtral.js';
import { buildModelGraph, knownFamilies } from '../../../src/families/registry.js';

function errorOf(config: unknown): { code: string; message: string; path: unknown } {
  try {
    buildModelGraph(config);
  } catch (error) {
    if (MegascaleError.isInstance(error)) {
      return { code: error.code, message: error.message, path: error.details['path'] };
    }
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('buildModelGraph', () => {
  it('asks the family that claims the architecture', () => {
    expect(buildModelGraph(tinyMixtral().config).family).toBe('mixtral');
    expect(buildModelGraph(tinyQwen3Moe().config).family).toBe('qwen3-moe');
  });

  it('lists the known architectures for an unknown one', () => {
    const error = errorOf({ architectures: ['LlamaForCausalLM'] });
    expect(error.code).toBe('ERR_ARCHITECTURE_UNKNOWN');
    expect(error.message).toContain('LlamaForCausalLM');
    for (const { architectures } of knownFamilies) {
      for (const name of architectures) expect(error.message).toContain(name);
    }
  });

  it.each([undefined, null, 'x', {}, { architectures: 'x' }, { architectures: [3] }])(
    'refuses a config without architectures: %j',
    (config) => {
      expect(errorOf(config).code).toBe('ERR_ARCHITECTURE_UNKNOWN');
    },
  );

  it('takes families of others', () => {
    const own = { ...mixtral, architectures: ['OwnForCausalLM'] };
    const config = { ...tinyMixtral().config, architectures: ['OwnForCausalLM'] };
    expect(buildModelGraph(config, [...knownFamilies, own]).sizes.layerCount).toBe(2);
  });
});

describe('a bad field of config.json', () => {
  const { config } = tinyMixtral();
  const qwen = tinyQwen3Moe().config;
  it.each([
    ['missing', { ...config, hidden_size: undefined }, 'hidden_size', 'found nothing'],
    ['of a wrong type', { ...config, vocab_size: '160' }, 'vocab_size', 'found "160"'],
    ['negative', { ...config, num_hidden_layers: -1 }, 'num_hidden_layers', 'found -1'],
    ['huge', { ...config, num_hidden_layers: 1e9 }, 'num_hidden_layers', '1024'],
    ['inside a list', { ...qwen, mlp_only_layers: [0, 'x'] }, 'mlp_only_layers.1', 'found "x"'],
    ['of an unknown activation', { ...config, hidden_act: 'gelu' }, 'hidden_act', 'silu'],
    ['above the experts', { ...config, num_experts_per_tok: 9 }, 'num_experts_per_tok', '9'],
    ['no divisor', { ...config, num_key_value_heads: 3 }, 'num_key_value_heads', 'divisor'],
    ['odd', { ...config, head_dim: 31 }, 'head_dim', 'even'],
    [
      'a scaled rotary embedding',
      { ...config, rope_scaling: { rope_type: 'yarn', factor: 4 } },
      'rope_scaling',
      'yarn',
    ],
    [
      'a scaled rotary embedding, new spelling',
      { ...config, rope_parameters: { rope_type: 'linear', rope_theta: 1e4 } },
      'rope_parameters',
      'linear',
    ],
  ])('%s is named by its path, with what was found', (_, changed, path, text) => {
    const error = errorOf(changed);
    expect(error.code).toBe('ERR_CONFIG_FIELD');
    expect(error.path).toBe(path);
    expect(error.message).toContain(`"${path}"`);
    expect(error.message).toContain(text);
  });

  it('is not shown whole when it is long', () => {
    const error = errorOf({ ...config, vocab_size: 'x'.repeat(100_000) });
    expect(error.message.length).toBeLessThan(400);
  });
});
