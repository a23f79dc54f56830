import { z } from 'zod';
import type { GraphBuilder } from '../graph/builder.js';
import type { Value } from '../graph/ops.js';

/** Schema pieces and the two ends that decoder-only families of the Llama line share. */
export const count = z.int().positive();
export const epsilon = z.number().positive();

/** Scaled rotary embeddings are refused by name: computing them unscaled would give wrong text without a word. */
export const ropeScalingNone = z
  .object({ rope_type: z.string().optional(), type: z.string().optional() })
  .nullish()
  .refine((scaling) => scaling == null || (scaling.rope_type ?? scaling.type) === 'default', {
    message: 'scaled rotary embeddings are not supported, expected null',
  });

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
