import { mixtral } from '../../families/mixtral.js';
import { qwen3Moe } from '../../families/qwen3-moe.js';
import type { ModelGraph } from '../../graph/ops.js';
import type { ModelFamily } from '../../spec/model-family.js';
import type { WeightSource } from '../../spec/weight-source.js';
import { randomWeightSource } from '../../weights/random/random-weight-source.js';

/** A model small enough for a unit test, with weights that depend on the seed alone. */
export interface TinyModel {
  /** As it would stand in config.json. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly graph: ModelGraph;
  /** In memory, bf16. */
  readonly weights: WeightSource;
}

export interface TinyModelOptions {
  /** Default 1. */
  readonly seed?: number;
  /** Fields of config.json to replace. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/** Mixtral with 2 layers, hidden size 128, 8 experts, top-2, and a window of 24 positions. */
export function tinyMixtral(options: TinyModelOptions = {}): TinyModel {
  return tinyModel(mixtral, options, {
    architectures: ['MixtralForCausalLM'],
    model_type: 'mixtral',
    hidden_size: 128,
    intermediate_size: 96,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    num_local_experts: 8,
    num_experts_per_tok: 2,
    vocab_size: 160,
    max_position_embeddings: 512,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    sliding_window: 24,
    tie_word_embeddings: false,
    hidden_act: 'silu',
  });
}

/**
 * Qwen3-MoE with 3 layers (the second dense), hidden size 96, heads wider than hidden / heads, 16
 * experts, top-4, tied embeddings.
 */
export function tinyQwen3Moe(options: TinyModelOptions = {}): TinyModel {
  return tinyModel(qwen3Moe, options, {
    architectures: ['Qwen3MoeForCausalLM'],
    model_type: 'qwen3_moe',
    hidden_size: 96,
    intermediate_size: 160,
    moe_intermediate_size: 64,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    num_key_value_heads: 1,
    head_dim: 32,
    num_experts: 16,
    num_experts_per_tok: 4,
    norm_topk_prob: true,
    decoder_sparse_step: 1,
    mlp_only_layers: [1],
    vocab_size: 160,
    max_position_embeddings: 512,
    rms_norm_eps: 1e-6,
    rope_theta: 1000000,
    attention_bias: true,
    tie_word_embeddings: true,
    hidden_act: 'silu',
  });
}

/** One of each family, for tests over all of them. */
export const tinyFamilies: readonly {
  readonly family: string;
  readonly make: (options?: TinyModelOptions) => TinyModel;
}[] = [
  { family: 'mixtral', make: tinyMixtral },
  { family: 'qwen3-moe', make: tinyQwen3Moe },
];

function tinyModel(
  family: ModelFamily,
  options: TinyModelOptions,
  defaults: Readonly<Record<string, unknown>>,
): TinyModel {
  const config = { ...defaults, ...options.config };
  const graph = family.buildGraph(config);
  return { config, graph, weights: randomWeightSource(graph, options.seed ?? 1) };
}
