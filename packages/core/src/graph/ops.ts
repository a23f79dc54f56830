/**
 * The op table: everything a model family may say. A node names its inputs and its output; the
 * arithmetic of each op is defined by its comment here and, to the bit of a reading, by
 * `reference/blocks.ts`.
 *
 * Legend: T = tokens of the micro-batch, H = hidden size, K = top-k. 'activation' is the backend's
 * element type for values between ops ('bf16' on `cpu`, 'f32' on `reference`); the residual and all
 * accumulation are f32.
 */
export type Dim = number | 'tokens' | 'logitsRows';
export type ValueDType = 'activation' | 'f32' | 'i32';

/**
 * A tensor that flows between ops. `id` numbers a graph's values; a program may join graphs, so
 * compilers key by object.
 */
export interface Value {
  readonly id: number;
  readonly name: string;
  readonly shape: readonly Dim[];
  readonly dtype: ValueDType;
}

/** A tensor of the checkpoint with the shape the graph needs. */
export interface WeightRef {
  readonly name: string;
  readonly shape: readonly number[];
}

/** The router's answer: which experts, with which weights. */
export interface Routes {
  /** [T, K] i32. */
  readonly expertIds: Value;
  /** [T, K] f32. */
  readonly weights: Value;
}

/** table[id] → f32 residual [T, H]. Input: the micro-batch's token ids. */
export interface EmbedNode {
  readonly op: 'embed';
  /** [vocab, H]. */
  readonly table: WeightRef;
  readonly out: Value;
}
/** out = x / sqrt(mean(x²) + epsilon) · weight over the last dimension; statistics in f32. */
export interface RmsNormNode {
  readonly op: 'rmsNorm';
  readonly x: Value;
  /** [H]. */
  readonly weight: WeightRef;
  readonly epsilon: number;
  readonly out: Value;
}
/** out[t, o] = Σᵢ x[t, i] · weight[o, i] (+ bias[o]). */
export interface LinearNode {
  readonly op: 'linear';
  readonly x: Value;
  /** [out, in]. */
  readonly weight: WeightRef;
  /** [out]. */
  readonly bias?: WeightRef;
  readonly out: Value;
}
/** RMS norm of each head's vector: x [T, heads × headSize], weight [headSize]. */
export interface QkNormNode {
  readonly op: 'qkNorm';
  readonly x: Value;
  readonly weight: WeightRef;
  readonly headSize: number;
  readonly epsilon: number;
  readonly out: Value;
}
/** Rotates pairs (i, i + headSize/2) of each head by position · theta^(−2i/headSize). */
export interface RopeNode {
  readonly op: 'rope';
  readonly x: Value;
  readonly headSize: number;
  readonly theta: number;
  readonly out: Value;
}
/** Writes this micro-batch's keys and values into the sequences' KV pages of this layer. */
export interface KvAppendNode {
  readonly op: 'kvAppend';
  /** [T, kvHeads × headSize]. */
  readonly k: Value;
  readonly v: Value;
}
/**
 * Causal grouped-query attention over the sequence's pages: head h reads KV head ⌊h / (heads /
 * kvHeads)⌋. A token at position p sees keys at positions (p − window, p]; no window = all. Softmax
 * in f32, keys in blocks of 16 positions from 0.
 */
export interface PagedAttentionNode {
  readonly op: 'pagedAttention';
  /** [T, heads × headSize]. */
  readonly q: Value;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  /** Multiplies q·k before the softmax. */
  readonly scale: number;
  readonly window?: number;
  readonly out: Value;
}
/** into += x: the residual connection. `into` is f32. */
export interface AddToNode {
  readonly op: 'addTo';
  readonly into: Value;
  readonly x: Value;
}
/** out = silu(gate) ⊙ up, elementwise: the middle of a dense gated feed-forward layer. */
export interface SwigluNode {
  readonly op: 'swiglu';
  readonly gate: Value;
  readonly up: Value;
  readonly out: Value;
}
/** Scores every expert, picks the topK best (ties: lower id first) in falling order of score. */
export interface RouterNode {
  readonly op: 'router';
  readonly x: Value;
  /** [experts, H]. */
  readonly weight: WeightRef;
  readonly experts: number;
  readonly topK: number;
  /** Score of an expert from its logit, in f32: over all experts, or each alone. */
  readonly score: 'softmax' | 'sigmoid';
  /** Divide the chosen scores by their sum. */
  readonly renormalize: boolean;
  /** Multiplies the weights at the end. */
  readonly scale: number;
  readonly out: Routes;
}
/** The weights of one expert: out = down · (act(gate · x) ⊙ (up · x)). */
export interface ExpertWeights {
  /** [width, H]. */
  readonly gate: WeightRef;
  /** [width, H]. */
  readonly up: WeightRef;
  /** [H, width]. */
  readonly down: WeightRef;
}
/**
 * Routed experts: out[t] = Σₖ weights[t, k] · expert(expertIds[t, k])(x[t]), summed in ascending k
 * in f32. The cut goes here.
 */
export interface ExpertsNode {
  readonly op: 'experts';
  readonly x: Value;
  readonly routes: Routes;
  /** By expert id. */
  readonly experts: readonly ExpertWeights[];
  readonly width: number;
  readonly activation: 'silu';
  /** [T, H] f32. */
  readonly out: Value;
}
/** logits[r, v] = Σᵢ x[logitsRows[r], i] · weight[v, i], f32. */
export interface LmHeadNode {
  readonly op: 'lmHead';
  readonly x: Value;
  /** [vocab, H]; the embedding table where the two are tied. */
  readonly weight: WeightRef;
  readonly out: Value;
}

export type GraphNode =
  | EmbedNode
  | RmsNormNode
  | LinearNode
  | QkNormNode
  | RopeNode
  | KvAppendNode
  | PagedAttentionNode
  | AddToNode
  | SwigluNode
  | RouterNode
  | ExpertsNode
  | LmHeadNode;
export type OpName = GraphNode['op'];

/** One straight-line piece of a model, in order of execution. */
export interface Graph {
  readonly name: string;
  readonly nodes: readonly GraphNode[];
}

/** A whole model: what to compute, and the sizes that others need to plan for it. */
export interface ModelGraph {
  readonly family: string;
  readonly sizes: ModelSizes;
  /** Token ids → residual. */
  readonly prologue: Graph;
  readonly layers: readonly Graph[];
  /** Residual → logits. */
  readonly epilogue: Graph;
}

export interface ModelSizes {
  readonly layerCount: number;
  readonly hiddenSize: number;
  readonly vocabSize: number;
  readonly headCount: number;
  readonly kvHeadCount: number;
  readonly headSize: number;
  readonly expertCount: number;
  readonly topK: number;
  /** Inner width of one expert. */
  readonly expertWidth: number;
  /** Longest sequence the model was made for. */
  readonly positionsMax: number;
}
