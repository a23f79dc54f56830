import { describe, expect, it } from 'vitest';
import { parameterCount } from '../../../src/graph/cost.js';
import { expandTensors } from '../../../src/testing/backend/expand-tensors.js';
import { familyContract } from '../../../src/testing/family/family-contract.js';
import { qwen3Moe } from '../../../src/families/qwen3-moe.js';

/** Qwen3-30B-A3B. */
const config = {
  architectures: ['Qwen3MoeForCausalLM'],
  attention_bias: false,
  attention_dropout: 0,
  bos_token_id: 151643,
  decoder_sparse_step: 1,
  eos_token_id: 151645,
  head_dim: 128,
  hidden_act: 'silu',
  hidden_size: 2048,
  initializer_range: 0.02,
  intermediate_size: 6144,
  max_position_embeddings: 40960,
  max_window_layers: 48,
  mlp_only_layers: [],
  model_type: 'qwen3_moe',
  moe_intermediate_size: 768,
  norm_topk_prob: true,
  num_attention_heads: 32,
  num_experts: 128,
  num_experts_per_tok: 8,
  num_hidden_layers: 48,
  num_key_value_heads: 4,
  rms_norm_eps: 1e-6,
  rope_scaling: null,
  rope_theta: 1e6,
  sliding_window: null,
  tie_word_embeddings: false,
  use_sliding_window: false,
  vocab_size: 151936,
};

const attentionTensors = {
  'model.embed_tokens.weight': [151936, 2048],
  'model.layers.{layer}.input_layernorm.weight': [2048],
  'model.layers.{layer}.self_attn.q_proj.weight': [4096, 2048],
  'model.layers.{layer}.self_attn.k_proj.weight': [512, 2048],
  'model.layers.{layer}.self_attn.v_proj.weight': [512, 2048],
  'model.layers.{layer}.self_attn.o_proj.weight': [2048, 4096],
  'model.layers.{layer}.self_attn.q_norm.weight': [128],
  'model.layers.{layer}.self_attn.k_norm.weight': [128],
  'model.layers.{layer}.post_attention_layernorm.weight': [2048],
  'model.norm.weight': [2048],
  'lm_head.weight': [151936, 2048],
};
const routedTensors = {
  'model.layers.{routed}.mlp.gate.weight': [128, 2048],
  'model.layers.{routed}.mlp.experts.{expert}.gate_proj.weight': [768, 2048],
  'model.layers.{routed}.mlp.experts.{expert}.up_proj.weight': [768, 2048],
  'model.layers.{routed}.mlp.experts.{expert}.down_proj.weight': [2048, 768],
};
const denseTensors = {
  'model.layers.{dense}.mlp.gate_proj.weight': [6144, 2048],
  'model.layers.{dense}.mlp.up_proj.weight': [6144, 2048],
  'model.layers.{dense}.mlp.down_proj.weight': [2048, 6144],
};
const biasTensors = {
  'model.layers.{layer}.self_attn.q_proj.bias': [4096],
  'model.layers.{layer}.self_attn.k_proj.bias': [512],
  'model.layers.{layer}.self_attn.v_proj.bias': [512],
  'model.layers.{layer}.self_attn.o_proj.bias': [2048],
};

const required = [
  'hidden_size',
  'intermediate_size',
  'max_position_embeddings',
  'moe_intermediate_size',
  'num_attention_heads',
  'num_experts',
  'num_experts_per_tok',
  'num_hidden_layers',
  'num_key_value_heads',
  'rms_norm_eps',
  'vocab_size',
];

const tensors = expandTensors(
  { ...attentionTensors, ...routedTensors },
  { layer: 48, routed: 48, expert: 128 },
);
familyContract({ family: qwen3Moe, config, tensors, required });

describe('with dense layers and biases', () => {
  familyContract({
    family: qwen3Moe,
    config: {
      ...config,
      num_hidden_layers: 6,
      attention_bias: true,
      decoder_sparse_step: 2,
      mlp_only_layers: [3],
    },
    tensors: expandTensors(
      { ...attentionTensors, ...biasTensors, ...routedTensors, ...denseTensors },
      { layer: 6, dense: [0, 2, 3, 4], routed: [1, 5], expert: 128 },
    ),
    required,
  });
});

describe('qwen3-moe', () => {
  it('has the parameters its authors state: 30.5 B, 3.3 B active', () => {
    expect(Object.keys(tensors)).toHaveLength(18_867);
    expect(parameterCount(qwen3Moe.buildGraph(config))).toEqual({
      total: 30_532_122_624,
      active: 3_353_032_704,
    });
  });

  it('attends within a window only if use_sliding_window says so', () => {
    const windowOf = (changes: object): number | undefined => {
      const nodes = qwen3Moe.buildGraph({ ...config, ...changes }).layers[0]?.nodes ?? [];
      return nodes.find((node) => node.op === 'pagedAttention')?.window;
    };
    expect(windowOf({ sliding_window: 64 })).toBeUndefined();
    expect(windowOf({ sliding_window: 64, use_sliding_window: true })).toBe(64);
    expect(windowOf({ sliding_window: null, use_sliding_window: true })).toBeUndefined();
    expect(windowOf({ sliding_window: undefined, use_sliding_window: true })).toBe(4096);
  });

  it('norms each head before it is rotated', () => {
    const nodes = qwen3Moe.buildGraph(config).layers[0]?.nodes ?? [];
    const rotated = nodes.filter((node) => node.op === 'rope').map(({ x }) => x);
    const normed = nodes.filter((node) => node.op === 'qkNorm').map(({ out }) => out);
    expect(rotated).toEqual(normed);
  });

  it('takes hidden size over heads where no head size is given', () => {
    expect(qwen3Moe.buildGraph({ ...config, head_dim: null }).sizes.headSize).toBe(64);
  });
});
