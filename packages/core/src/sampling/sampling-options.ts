/**
 * How the next token is chosen from the logits. Absent fields take the model's defaults, then
 * these.
 */
export interface SamplingOptions {
  /** 0 = greedy. Default 1 (or the model's generation_config.json). Finite, ≥ 0. */
  readonly temperature?: number;
  /** Keep the k most likely tokens. 0 = all. */
  readonly topK?: number;
  /** Keep the smallest set of most likely tokens whose probabilities reach p; 0 < p ≤ 1. */
  readonly topP?: number;
  /** Keep tokens at least this fraction as likely as the likeliest; 0 ≤ p ≤ 1. */
  readonly minP?: number;
  /**
   * Any safe integer. The same seed, prompt and options give the same tokens on every topology.
   * Default: drawn by the engine.
   */
  readonly seed?: number;
}
