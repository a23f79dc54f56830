import type { ModelGraph } from './ops.js';

/** The work of one run of a graph. Averages may be fractions. */
export interface Workload {
  /** Tokens of the micro-batch. */
  readonly tokens: number;
  /** Tokens whose logits are wanted. */
  readonly logitsRows: number;
  /** Σ over tokens of the keys each sees: decides FLOPs of attention. */
  readonly keysSeen: number;
  /**
   * Σ over sequences of the distinct keys fetched: decides bytes of attention; equals `keysSeen` in
   * decode.
   */
  readonly keysRead: number;
  /** (token, expert) pairs computed per routed layer; tokens × topK where all experts are here. */
  readonly routedRows: number;
  /** Distinct experts with at least one row, per routed layer. */
  readonly expertsTouched: number;
  readonly weightElementBytes: number;
  readonly activationElementBytes: number;
  readonly kvElementBytes: number;
}

/**
 * One token of each of `sequences` sequences, every one with this context (the new token included),
 * all experts in one place and each chosen as often: `expertsTouched` is the mean number of
 * distinct ones.
 */
export function decodeWorkload(
  model: ModelGraph,
  options: {
    readonly sequences: number;
    readonly contextTokens: number;
    /** Bytes per element of weights, activations and KV. Default 2. */
    readonly elementBytes?: number;
  },
): Workload {
  const { sequences, contextTokens, elementBytes = 2 } = options;
  const { topK, expertCount } = model.sizes;
  return {
    tokens: sequences,
    logitsRows: sequences,
    keysSeen: sequences * contextTokens,
    keysRead: sequences * contextTokens,
    routedRows: sequences * topK,
    expertsTouched: expertCount * (1 - (1 - topK / expertCount) ** sequences),
    weightElementBytes: elementBytes,
    activationElementBytes: elementBytes,
    kvElementBytes: elementBytes,
  };
}

/** Keys that a chunk of consecutive tokens sees and fetches, in a layer with this window. */
export function keysOfChunk(
  chunk: { readonly firstPosition: number; readonly tokens: number },
  window = Infinity,
): { readonly keysSeen: number; readonly keysRead: number } {
  const { firstPosition, tokens } = chunk;
  let keysSeen = 0;
  for (let position = firstPosition; position < firstPosition + tokens; position += 1) {
    keysSeen += Math.min(position + 1, window);
  }
  // The first token sees furthest back.
  const firstKey = Math.max(0, firstPosition + 1 - window);
  return { keysSeen, keysRead: tokens === 0 ? 0 : firstPosition + tokens - firstKey };
}
