import { z } from 'zod';
import { defineFamily } from './define-family.js';
import {
  count,
  epsilon,
  evenHeads,
  expertCount,
  headSizeOf,
  layerCount,
  ropeTheta,
  rotaryFields,
  sharedEpilogue,
  sharedPrologue,
  wholeGroups,
} from './decoder-config.js';

/**
 * Mixtral of Experts (arXiv 2401.04088): grouped-query attention, optional sliding window, softmax
 * router over all experts, the chosen weights renormalized.
 */
export const mixtral = defineFamily({
  name: 'mixtral',
  architectures: ['MixtralForCausalLM'],
  config: z
    .object({
      hidden_size: count,
      intermediate_size: count,
      num_hidden_layers: layerCount,
      num_attention_heads: count,
      num_key_value_heads: count,
      head_dim: count.nullish(),
      num_local_experts: expertCount,
      num_experts_per_tok: count,
      vocab_size: count,
      max_position_embeddings: count,
      rms_norm_eps: epsilon,
      ...rotaryFields,
      sliding_window: count.nullish(),
      tie_word_embeddings: z.boolean().default(false),
      hidden_act: z.literal('silu').default('silu'),
    })
    .refine(...wholeGroups)
    .refine(...evenHeads)
    .refine((c) => c.num_experts_per_tok <= c.num_local_experts, {
      path: ['num_experts_per_tok'],
      message: 'expected at most num_local_experts',
    })
    .transform((c) => ({ ...c, head_dim: headSizeOf(c), rope_theta: ropeTheta(c, 1e6) })),
  sizes: (c) => ({
    layerCount: c.num_hidden_layers,
    hiddenSize: c.hidden_size,
    vocabSize: c.vocab_size,
    headCount: c.num_attention_heads,
    kvHeadCount: c.num_key_value_heads,
    headSize: c.head_dim,
    expertCount: c.num_local_experts,
    topK: c.num_experts_per_tok,
    expertWidth: c.intermediate_size,
    positionsMax: c.max_position_embeddings,
  }),
  prologue: sharedPrologue,
  layer(g, residual, c, w) {
    const heads = c.num_attention_heads;
    const kvHeads = c.num_key_value_heads;
    const headSize = c.head_dim;
    const rotary = { headSize, theta: c.rope_theta };

    const n1 = g.rmsNorm(residual, w('input_layernorm.weight'), c.rms_norm_eps);
    const q = g.rope(g.linear(n1, w('self_attn.q_proj.weight'), heads * headSize), rotary);
    const k = g.rope(g.linear(n1, w('self_attn.k_proj.weight'), kvHeads * headSize), rotary);
    const v = g.linear(n1, w('self_attn.v_proj.weight'), kvHeads * headSize);
    const attention = g.pagedAttention(q, k, v, {
      heads,
      kvHeads,
      headSize,
      scale: headSize ** -0.5,
      ...(c.sliding_window == null ? {} : { window: c.sliding_window }),
    });
    g.addTo(residual, g.linear(attention, w('self_attn.o_proj.weight'), c.hidden_size));

    const n2 = g.rmsNorm(residual, w('post_attention_layernorm.weight'), c.rms_norm_eps);
    const routes = g.router(n2, w('block_sparse_moe.gate.weight'), {
      experts: c.num_local_experts,
      topK: c.num_experts_per_tok,
      score: 'softmax',
      renormalize: true,
    });
    const experts = g.experts(n2, routes, {
      count: c.num_local_experts,
      width: c.intermediate_size,
      activation: 'silu',
      weights: (expert) => ({
        gate: w(`block_sparse_moe.experts.${String(expert)}.w1.weight`),
        up: w(`block_sparse_moe.experts.${String(expert)}.w3.weight`),
        down: w(`block_sparse_moe.experts.${String(expert)}.w2.weight`),
      }),
    });
    g.addTo(residual, experts);
  },
  epilogue: sharedEpilogue,
});
