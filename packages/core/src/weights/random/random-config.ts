/** The sizes of a made-up model. */
export interface RandomModelOptions {
  readonly family: 'mixtral' | 'qwen3-moe';
  readonly hidden: number;
  readonly layers: number;
  readonly experts: number;
  readonly topK: number;
  readonly expertWidth: number;
  readonly heads: number;
  readonly kvHeads: number;
  /** Default hidden / heads. */
  readonly headSize?: number;
  readonly vocab: number;
  /** Longest sequence. Default 4096. */
  readonly positions?: number;
  /** Keys a token sees; absent = all. */
  readonly slidingWindow?: number;
  /** The LM head is the embedding table. Default false. */
  readonly tied?: boolean;
  /** qwen3-moe: divide the chosen routing weights by their sum. Default true. */
  readonly normTopkProb?: boolean;
  /** Default 1e6. */
  readonly ropeTheta?: number;
  /** Default 1e-5 (mixtral), 1e-6 (qwen3-moe). */
  readonly rmsNormEpsilon?: number;
  /** qwen3-moe: inner width of the layers without experts. Default topK × expertWidth. */
  readonly denseWidth?: number;
  /** qwen3-moe: layers without experts. Default none. */
  readonly mlpOnlyLayers?: readonly number[];
  /** qwen3-moe: every how many layers there are experts. Default 1. */
  readonly decoderSparseStep?: number;
  /** qwen3-moe: biases on the attention's projections. Default false. */
  readonly attentionBias?: boolean;
}

/** Token ids of a made-up vocabulary that config.json states. */
export interface SpecialTokenIds {
  readonly end: number;
}

/**
 * config.json of a made-up model, with the fields Transformers writes; give it to
 * `buildModelGraph`.
 */
export function randomConfig(
  options: RandomModelOptions,
  special?: SpecialTokenIds,
): Readonly<Record<string, unknown>> {
  const shared = {
    attention_dropout: 0,
    bos_token_id: null,
    eos_token_id: special?.end ?? null,
    head_dim: options.headSize ?? Math.floor(options.hidden / options.heads),
    hidden_act: 'silu',
    hidden_size: options.hidden,
    initializer_range: 0.02,
    max_position_embeddings: options.positions ?? 4096,
    num_attention_heads: options.heads,
    num_experts_per_tok: options.topK,
    num_hidden_layers: options.layers,
    num_key_value_heads: options.kvHeads,
    output_router_logits: false,
    rope_theta: options.ropeTheta ?? 1e6,
    router_aux_loss_coef: 0.001,
    tie_word_embeddings: options.tied ?? false,
    torch_dtype: 'bfloat16',
    use_cache: true,
    vocab_size: options.vocab,
  };
  return options.family === 'mixtral'
    ? { ...shared, ...mixtralFields(options) }
    : { ...shared, ...qwen3MoeFields(options) };
}

function mixtralFields(options: RandomModelOptions): Readonly<Record<string, unknown>> {
  return {
    architectures: ['MixtralForCausalLM'],
    model_type: 'mixtral',
    intermediate_size: options.expertWidth,
    num_local_experts: options.experts,
    rms_norm_eps: options.rmsNormEpsilon ?? 1e-5,
    router_jitter_noise: 0,
    sliding_window: options.slidingWindow ?? null,
  };
}

function qwen3MoeFields(options: RandomModelOptions): Readonly<Record<string, unknown>> {
  return {
    architectures: ['Qwen3MoeForCausalLM'],
    model_type: 'qwen3_moe',
    attention_bias: options.attentionBias ?? false,
    decoder_sparse_step: options.decoderSparseStep ?? 1,
    intermediate_size: options.denseWidth ?? options.topK * options.expertWidth,
    max_window_layers: 0,
    mlp_only_layers: options.mlpOnlyLayers ?? [],
    moe_intermediate_size: options.expertWidth,
    norm_topk_prob: options.normTopkProb ?? true,
    num_experts: options.experts,
    rms_norm_eps: options.rmsNormEpsilon ?? 1e-6,
    rope_scaling: null,
    sliding_window: options.slidingWindow ?? null,
    use_sliding_window: options.slidingWindow !== undefined,
  };
}
