import { buildModelGraph, ConfigError } from '@megascale/core';
import { deepSeekV3 } from './deepseek-v3.js';
import { deriveModelShape, type ElementBytes } from './derive-model-shape.js';
import type { ModelShape } from './model-shape.js';

export interface NamedModel {
  readonly name: string;
  /** Where its sizes come from, and what is assumed. */
  readonly source: string;
  /** Sizes that are not given are bf16's; of deepseek-v3 the published ones. */
  readonly shape: (elementBytes?: ElementBytes) => ModelShape;
}

interface Sizes {
  readonly layers: number;
  readonly hidden: number;
  readonly experts: number;
  readonly topK: number;
  readonly expertWidth: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize?: number;
  readonly vocab: number;
}

/** Models that can be planned for by name: the paper's three, and public ones. */
export const namedModels: readonly NamedModel[] = [
  fromMixtral(
    'mixtral-8x22b',
    'public config.json of Mixtral-8x22B-v0.1; in Table 4 of MegaScale-Infer',
    {
      layers: 56,
      hidden: 6144,
      experts: 8,
      topK: 2,
      expertWidth: 16_384,
      heads: 48,
      kvHeads: 8,
      vocab: 32_768,
    },
  ),
  fromMixtral(
    'dbrx',
    'public config of DBRX (48 heads, 8 KV heads), in Table 4 of MegaScale-Infer; as a Mixtral graph, norms apart the same',
    {
      layers: 40,
      hidden: 6144,
      experts: 16,
      topK: 4,
      expertWidth: 10_752,
      heads: 48,
      kvHeads: 8,
      vocab: 100_352,
    },
  ),
  fromMixtral(
    'scaled-moe',
    'Table 4 of MegaScale-Infer (48 layers, h 8192, 32 experts, top-4); h′ = 8192 from its 317 B parameters; 64 heads of 128, 8 KV heads and a vocabulary of 32,768 are assumed',
    {
      layers: 48,
      hidden: 8192,
      experts: 32,
      topK: 4,
      expertWidth: 8192,
      heads: 64,
      kvHeads: 8,
      vocab: 32_768,
    },
  ),
  fromMixtral('mixtral-8x7b', 'public config.json of Mixtral-8x7B-v0.1', {
    layers: 32,
    hidden: 4096,
    experts: 8,
    topK: 2,
    expertWidth: 14_336,
    heads: 32,
    kvHeads: 8,
    vocab: 32_000,
  }),
  fromQwen3('qwen3-235b-a22b', 'public config.json of Qwen3-235B-A22B', {
    layers: 94,
    hidden: 4096,
    experts: 128,
    topK: 8,
    expertWidth: 1536,
    heads: 64,
    kvHeads: 4,
    headSize: 128,
    vocab: 151_936,
  }),
  fromQwen3('qwen3-30b-a3b', 'public config.json of Qwen3-30B-A3B', {
    layers: 48,
    hidden: 2048,
    experts: 128,
    topK: 8,
    expertWidth: 768,
    heads: 32,
    kvHeads: 4,
    headSize: 128,
    vocab: 151_936,
  }),
  { name: 'deepseek-v3', source: deepSeekV3.source, shape: deepSeekV3.shape },
];

/** @throws ConfigError 'ERR_CONFIG_FIELD' listing the names. */
export function namedModelShape(name: string, elementBytes?: ElementBytes): ModelShape {
  const found = namedModels.find((model) => model.name === name.toLowerCase());
  if (found !== undefined) return found.shape(elementBytes);
  const known = namedModels.map((model) => model.name);
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `No model is called "${name.slice(0, 80)}"; known are ${known.join(', ')}. Name one of these, or a config.json.`,
    details: { name: name.slice(0, 80), known },
  });
}

function fromMixtral(name: string, source: string, sizes: Sizes): NamedModel {
  const config = {
    ...sharedConfig(sizes),
    architectures: ['MixtralForCausalLM'],
    intermediate_size: sizes.expertWidth,
    num_local_experts: sizes.experts,
    rms_norm_eps: 1e-5,
  };
  return {
    name,
    source,
    shape: (elementBytes) => deriveModelShape(name, buildModelGraph(config), elementBytes),
  };
}

function fromQwen3(name: string, source: string, sizes: Sizes): NamedModel {
  const config = {
    ...sharedConfig(sizes),
    architectures: ['Qwen3MoeForCausalLM'],
    intermediate_size: sizes.topK * sizes.expertWidth,
    moe_intermediate_size: sizes.expertWidth,
    num_experts: sizes.experts,
    norm_topk_prob: true,
    rms_norm_eps: 1e-6,
  };
  return {
    name,
    source,
    shape: (elementBytes) => deriveModelShape(name, buildModelGraph(config), elementBytes),
  };
}

function sharedConfig(sizes: Sizes): Readonly<Record<string, unknown>> {
  return {
    hidden_size: sizes.hidden,
    num_hidden_layers: sizes.layers,
    num_attention_heads: sizes.heads,
    num_key_value_heads: sizes.kvHeads,
    head_dim: sizes.headSize ?? sizes.hidden / sizes.heads,
    num_experts_per_tok: sizes.topK,
    vocab_size: sizes.vocab,
    max_position_embeddings: 32_768,
    rope_theta: 1e6,
  };
}
