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
 * Qwen3-MoE (arXiv 2505.09388): norm of each query and key head before the rotation, a head size of
 * its own, many narrow experts, renormalization as the config says, and dense layers where
 * `mlp_only_layers` or `decoder_sparse_step` ask for them.
 */
export const qwen3Moe = defineFamily({
  name: 'qwen3-moe',
  architectures: ['Qwen3MoeForCausalLM'],
  config: z
    .object({
      hidden_size: count,
      intermediate_size: count,
      moe_intermediate_size: count,
      num_hidden_layers: layerCount,
      num_attention_heads: count,
      num_key_value_heads: count,
      head_dim: count.nullish(),
      num_experts: expertCount,
      num_experts_per_tok: count,
      norm_topk_prob: z.boolean().default(false),
      decoder_sparse_step: count.default(1),
      mlp_only_layers: z.array(z.int().nonnegative()).nullish(),
      vocab_size: count,
      max_position_embeddings: count,
      rms_norm_eps: epsilon,
      ...rotaryFields,
      attention_bias: z.boolean().default(false),
      use_sliding_window: z.boolean().default(false),
      sliding_window: count.nullable().default(4096),
      tie_word_embeddings: z.boolean().default(false),
      hidden_act: z.literal('silu').default('silu'),
    })
    .refine(...wholeGroups)
    .refine(...evenHeads)
    .refine((c) => c.num_experts_per_tok <= c.num_experts, {
      path: ['num_experts_per_tok'],
      message: 'expected at most num_experts',
    })
    .transform((c) => ({ ...c, head_dim: headSizeOf(c), rope_theta: ropeTheta(c, 10_000) })),
  sizes: (c) => ({
    layerCount: c.num_hidden_layers,
    hiddenSize: c.hidden_size,
    vocabSize: c.vocab_size,
    headCount: c.num_attention_heads,
    kvHeadCount: c.num_key_value_heads,
    headSize: c.head_dim,
    expertCount: c.num_experts,
    topK: c.num_experts_per_tok,
    expertWidth: c.moe_intermediate_size,
    positionsMax: c.max_position_embeddings,
  }),
  prologue: sharedPrologue,
  layer(g, residual, c, w, layerIndex) {
    const heads = c.num_attention_heads;
    const kvHeads = c.num_key_value_heads;
    const headSize = c.head_dim;
    const rotary = { headSize, theta: c.rope_theta };
    const qkNorm = { headSize, epsilon: c.rms_norm_eps };
    const project = (x: typeof residual, name: string, width: number): typeof residual =>
      g.linear(x, w(`self_attn.${name}.weight`), width, {
        ...(c.attention_bias ? { bias: w(`self_attn.${name}.bias`) } : {}),
      });

    const n1 = g.rmsNorm(residual, w('input_layernorm.weight'), c.rms_norm_eps);
    const qNormed = g.qkNorm(
      project(n1, 'q_proj', heads * headSize),
      w('self_attn.q_norm.weight'),
      qkNorm,
    );
    const kNormed = g.qkNorm(
      project(n1, 'k_proj', kvHeads * headSize),
      w('self_attn.k_norm.weight'),
      qkNorm,
    );
    const v = project(n1, 'v_proj', kvHeads * headSize);
    const attention = g.pagedAttention(g.rope(qNormed, rotary), g.rope(kNormed, rotary), v, {
      heads,
      kvHeads,
      headSize,
      scale: headSize ** -0.5,
      ...(c.use_sliding_window && c.sliding_window !== null ? { window: c.sliding_window } : {}),
    });
    g.addTo(residual, project(attention, 'o_proj', c.hidden_size));

    const n2 = g.rmsNorm(residual, w('post_attention_layernorm.weight'), c.rms_norm_eps);
    if (isDense(c, layerIndex)) {
      const gate = g.linear(n2, w('mlp.gate_proj.weight'), c.intermediate_size);
      const up = g.linear(n2, w('mlp.up_proj.weight'), c.intermediate_size);
      g.addTo(residual, g.linear(g.swiglu(gate, up), w('mlp.down_proj.weight'), c.hidden_size));
      return;
    }
    const routes = g.router(n2, w('mlp.gate.weight'), {
      experts: c.num_experts,
      topK: c.num_experts_per_tok,
      score: 'softmax',
      renormalize: c.norm_topk_prob,
    });
    const experts = g.experts(n2, routes, {
      count: c.num_experts,
      width: c.moe_intermediate_size,
      activation: 'silu',
      weights: (expert) => ({
        gate: w(`mlp.experts.${String(expert)}.gate_proj.weight`),
        up: w(`mlp.experts.${String(expert)}.up_proj.weight`),
        down: w(`mlp.experts.${String(expert)}.down_proj.weight`),
      }),
    });
    g.addTo(residual, experts);
  },
  epilogue: sharedEpilogue,
});

/** Dense layers have one feed-forward network and no router. */
function isDense(
  config: {
    readonly mlp_only_layers?: readonly number[] | null | undefined;
    readonly decoder_sparse_step: number;
  },
  layerIndex: number,
): boolean {
  const named = config.mlp_only_layers?.includes(layerIndex) ?? false;
  return named || (layerIndex + 1) % config.decoder_sparse_step !== 0;
}
