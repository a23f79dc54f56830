/**
 * What planning needs of a model: FLOPs and bytes of each half of a routed layer, as linear
 * functions of how much work there is. All layers are taken to cost the same: the mean of the
 * routed layers, into which layers without experts are spread.
 */
export interface ModelShape {
  readonly name: string;
  /** L: routed layers. */
  readonly layerCount: number;
  /** h */
  readonly hiddenSize: number;
  /** E */
  readonly expertCount: number;
  /** K */
  readonly topK: number;
  /** h': inner width of one expert. */
  readonly expertWidth: number;
  readonly attention: AttentionCost;
  readonly expert: ExpertCost;
  /** Before the first and after the last layer. */
  readonly edge: EdgeCost;
  readonly message: MessageCost;
  /** Keys that a token sees at most; absent = all. */
  readonly windowTokens?: number | undefined;
  /** Bytes of keys and values of one token, all layers. */
  readonly kvBytesPerToken: number;
  /** What multiplies: decides which peak of an accelerator counts. */
  readonly computeDType: 'bf16' | 'fp8';
  readonly parameterCount: number;
  /** Parameters that one token uses. */
  readonly activeParameterCount: number;
}

/**
 * The attention half of one routed layer; on t tokens that see k keys in all (of which r are
 * fetched).
 */
export interface AttentionCost {
  readonly weightBytes: number;
  /** Projections, norms, router, combine and whatever else depends on tokens alone. */
  readonly flopsPerToken: number;
  readonly activationBytesPerToken: number;
  /** q·k and the weighted sum of values, for each key seen. */
  readonly flopsPerKeySeen: number;
  /** Keys and values fetched, for each key read. In decode, keys read are keys seen. */
  readonly kvBytesPerKeyRead: number;
}

/** One routed expert of one layer. */
export interface ExpertCost {
  readonly weightBytes: number;
  readonly flopsPerRow: number;
  readonly activationBytesPerRow: number;
}

/** Embedding, final norm and LM head, once per step. */
export interface EdgeCost {
  /** Held in memory by every attention worker. */
  readonly weightBytes: number;
  /** Read in a step: the LM head and the norm, not the whole table. */
  readonly weightBytesRead: number;
  readonly flopsPerToken: number;
  readonly activationBytesPerToken: number;
}

/** What travels for one row, one way each. */
export interface MessageCost {
  readonly dispatchBytesPerRow: number;
  readonly combineBytesPerRow: number;
}

/** Parameters of everything an attention worker holds, in bytes. */
export function attentionWeightBytes(shape: ModelShape): number {
  return shape.layerCount * shape.attention.weightBytes + shape.edge.weightBytes;
}

/** One expert of every layer, in bytes. */
export function expertWeightBytes(shape: ModelShape): number {
  return shape.layerCount * shape.expert.weightBytes;
}

/** Keys that a token with this context sees. */
export function keysSeenWith(shape: ModelShape, contextTokens: number): number {
  return Math.min(contextTokens, shape.windowTokens ?? Infinity);
}
