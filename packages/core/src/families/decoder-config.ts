import { z } from 'zod';
import type { GraphBuilder } from '../graph/builder.js';
import type { Value } from '../graph/ops.js';

/** Schema pieces and the two ends that decoder-only families of the Llama line share. */
export const count = z.int().positive();
/**
 * Bounded, so that a bad file is refused by name instead of filling the memory with graph nodes.
 */
export const layerCount = count.max(1024);
export const expertCount = count.max(4096);
export const epsilon = z.number().positive();

/**
 * Scaled rotary embeddings are refused by name: computing them unscaled would give wrong text
 * without a word.
 */
function unscaled(rotary: { rope_type?: string | undefined; type?: string | undefined }): boolean {
  return (rotary.rope_type ?? rotary.type ?? 'default') === 'default';
}
const scaledRotary = { message: 'scaled rotary embeddings are not supported, expected "default"' };
const rotaryKind = { rope_type: z.string().optional(), type: z.string().optional() };

/**
 * The three fields a config.json may state its rotary embedding in; newer ones have
 * `rope_parameters` only.
 */
export const rotaryFields = {
  rope_theta: z.number().positive().optional(),
  rope_scaling: z.object(rotaryKind).refine(unscaled, scaledRotary).nullish(),
  rope_parameters: z
    .object({ ...rotaryKind, rope_theta: z.number().positive().optional() })
    .refine(unscaled, scaledRotary)
    .nullish(),
};

/** The rotary base, wherever the config states it, else the family's default. */
export function ropeTheta(
  config: {
    readonly rope_theta?: number | undefined;
    readonly rope_parameters?: { readonly rope_theta?: number | undefined } | null | undefined;
  },
  ofFamily: number,
): number {
  return config.rope_parameters?.rope_theta ?? config.rope_theta ?? ofFamily;
}

export interface AttentionHeads {
  readonly hidden_size: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly head_dim?: number | null | undefined;
}

/** [head size], stated or what remains of the hidden size. */
export function headSizeOf(config: AttentionHeads): number {
  return config.head_dim ?? Math.floor(config.hidden_size / config.num_attention_heads);
}

type HeadRule = [(config: AttentionHeads) => boolean, { path: PropertyKey[]; message: string }];

/** Query heads share KV heads evenly, and rotation needs pairs: arguments for `refine`. */
export const wholeGroups: HeadRule = [
  (c) => c.num_attention_heads % c.num_key_value_heads === 0,
  { path: ['num_key_value_heads'], message: 'expected a divisor of num_attention_heads' },
];
export const evenHeads: HeadRule = [
  (c) => headSizeOf(c) > 0 && headSizeOf(c) % 2 === 0,
  { path: ['head_dim'], message: 'expected an even head size (or hidden_size / heads even)' },
];

export interface DecoderEnds {
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly rms_norm_eps: number;
  readonly tie_word_embeddings: boolean;
}

const embeddings = 'model.embed_tokens.weight';

export function sharedPrologue(g: GraphBuilder, c: DecoderEnds): Value {
  return g.embed(embeddings, { vocab: c.vocab_size, hidden: c.hidden_size });
}

export function sharedEpilogue(g: GraphBuilder, residual: Value, c: DecoderEnds): void {
  const norm = g.rmsNorm(residual, 'model.norm.weight', c.rms_norm_eps);
  g.lmHead(norm, c.tie_word_embeddings ? embeddings : 'lm_head.weight', c.vocab_size);
}
