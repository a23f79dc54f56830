import { describe, expect, it } from 'vitest';
import { parameterCount } from '../../../src/graph/cost.js';
import { expandTensors } from '../../../src/testing/backend/expand-tensors.js';
import { familyContract } from '../../../src/testing/family/family-contract.js';
import { mixtral } from '../../../src/families/mixtral.js';

/** Mixtral 8x7B v0.1. */
const config = {
  architectures: ['MixtralForCausalLM'],
  attention_dropout: 0,
  bos_token_id: 1,
  eos_token_id: 2,
  head_dim: null,
  hidden_act: 'silu',
  hidden_size: 4096,
  initializer_range: 0.02,
  intermediate_size: 14336,
  max_position_embeddings: 32768,
  model_type: 'mixtral',
  num_attention_heads: 32,
  num_experts_per_tok: 2,
  num_hidden_layers: 32,
  num_key_value_heads: 8,
  num_local_experts: 8,
  rms_norm_eps: 1e-5,
  rope_theta: 1e6,
  sliding_window: null,
  tie_word_embeddings: false,
  vocab_size: 32000,
};

const tensors = expandTensors(
  {
    'model.embed_tokens.weight': [32000, 4096],
    'model.layers.{layer}.input_layernorm.weight': [4096],
    'model.layers.{layer}.self_attn.q_proj.weight': [4096, 4096],
    'model.layers.{layer}.self_attn.k_proj.weight': [1024, 4096],
    'model.layers.{layer}.self_attn.v_proj.weight': [1024, 4096],
    'model.layers.{layer}.self_attn.o_proj.weight': [4096, 4096],
    'model.layers.{layer}.post_attention_layernorm.weight': [4096],
    'model.layers.{layer}.block_sparse_moe.gate.weight': [8, 4096],
    'model.layers.{layer}.block_sparse_moe.experts.{expert}.w1.weight': [14336, 4096],
    'model.layers.{layer}.block_sparse_moe.experts.{expert}.w2.weight': [4096, 14336],
    'model.layers.{layer}.block_sparse_moe.experts.{expert}.w3.weight': [14336, 4096],
    'model.norm.weight': [4096],
    'lm_head.weight': [32000, 4096],
  },
  { layer: 32, expert: 8 },
);

familyContract({
  family: mixtral,
  config,
  tensors,
  required: [
    'hidden_size',
    'intermediate_size',
    'max_position_embeddings',
    'num_attention_heads',
    'num_experts_per_tok',
    'num_hidden_layers',
    'num_key_value_heads',
    'num_local_experts',
    'rms_norm_eps',
    'vocab_size',
  ],
});

describe('mixtral', () => {
  it('has the parameters its authors state: 46.7 B, 12.9 B active', () => {
    expect(Object.keys(tensors)).toHaveLength(995);
    expect(parameterCount(mixtral.buildGraph(config))).toEqual({
      total: 46_702_792_704,
      active: 12_879_925_248,
    });
  });

  it('attends within the sliding window if there is one', () => {
    const windowOf = (sliding_window: number | null): number | undefined => {
      const nodes = mixtral.buildGraph({ ...config, sliding_window }).layers[0]?.nodes ?? [];
      return nodes.find((node) => node.op === 'pagedAttention')?.window;
    };
    expect(windowOf(null)).toBeUndefined();
    expect(windowOf(4096)).toBe(4096);
  });

  it('takes the rotary base from rope_parameters, rope_theta or its own default', () => {
    const { rope_theta: base, ...without } = config;
    const thetaOf = (changed: object): number | undefined => {
      const nodes = mixtral.buildGraph(changed).layers[0]?.nodes ?? [];
      return nodes.find((node) => node.op === 'rope')?.theta;
    };
    expect(thetaOf({ ...config, rope_theta: base / 2 })).toBe(base / 2);
    expect(thetaOf({ ...without, rope_parameters: { rope_theta: 7 } })).toBe(7);
    expect(thetaOf(without)).toBe(1e6);
  });

  it('uses the embedding table as head where the two are tied', () => {
    const tied = mixtral.buildGraph({ ...config, tie_word_embeddings: true });
    expect(tied.epilogue.nodes.at(-1)).toMatchObject({
      op: 'lmHead',
      weight: { name: 'model.embed_tokens.weight' },
    });
  });
});
