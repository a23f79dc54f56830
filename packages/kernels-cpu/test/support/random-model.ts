import { SeededRandom, tinyMixtral, tinyQwen3Moe, type TinyModel } from '@megascale/core/testing';

/**
 * A model of either family with sizes drawn from the seed: odd, prime, smaller than a vector,
 * around a tile.
 */
export function randomModel(seed: number, all: { readonly experts: boolean }): TinyModel {
  const random = new SeededRandom(seed);
  const pick = <T>(...items: readonly [T, ...T[]]): T =>
    items[random.integer(0, items.length - 1)] ?? items[0];
  const experts = random.integer(1, 9);
  const kvHeads = pick(1, 2, 3);
  const config = {
    hidden_size: random.integer(1, 150),
    head_dim: 2 * random.integer(4, 40),
    num_key_value_heads: kvHeads,
    num_attention_heads: kvHeads * random.integer(1, 10),
    num_hidden_layers: random.integer(1, 3),
    intermediate_size: random.integer(1, 90),
    moe_intermediate_size: random.integer(1, 90),
    num_experts: experts,
    num_local_experts: experts,
    num_experts_per_tok: all.experts ? experts : random.integer(1, experts),
    vocab_size: random.integer(2, 120),
    sliding_window: pick(null, 1, 15, 16, 17, 40),
    attention_bias: pick(true, false),
    norm_topk_prob: pick(true, false),
    mlp_only_layers: pick([], [0], [2]),
    tie_word_embeddings: pick(true, false),
  };
  return pick(tinyMixtral, tinyQwen3Moe)({ seed, config });
}
