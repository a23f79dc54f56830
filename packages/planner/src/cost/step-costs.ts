/**
 * Times of one attention worker, one expert worker and the link between: pure functions, from a
 * datasheet (`createAcceleratorCosts`) or from what `megascale profile` measured. Everything that
 * predicts a deployment (search, closed form, simulator) takes this.
 *
 * A worker may be several accelerators in tensor parallel; work is the work of the whole worker.
 */
export interface StepCosts {
  /** T_a: the attention half of one routed layer for one micro-batch of one worker. */
  attentionTimeUs(work: AttentionWork): number;
  /** T_e: the expert half of one routed layer for one micro-batch of one worker. */
  expertTimeUs(work: ExpertWork): number;
  /** T_c: one way, one micro-batch, the busier end of the two. */
  transferTimeUs(work: TransferWork): number;
  /** Embedding, LM head and sampling of one micro-batch. */
  edgeTimeUs(tokens: number): number;
  /** What a step takes besides: planning, messages, detokenizing. Not hidden behind compute. */
  readonly stepOverheadUs: number;
}

export interface AttentionWork {
  readonly tokens: number;
  /** Σ over tokens of the keys each sees. */
  readonly keysSeen: number;
  /** Σ over sequences of the distinct keys fetched; in decode equal to `keysSeen`. */
  readonly keysRead: number;
}

export interface ExpertWork {
  /** (token, expert) pairs. */
  readonly rows: number;
  /** Experts of this worker with at least one row; an average may be a fraction. */
  readonly distinctExperts: number;
  /**
   * Rows that tensor parallelism sums across its accelerators: fewer than `rows` where a token's
   * answers are summed first. Default `rows`.
   */
  readonly reducedRows?: number;
}

export interface TransferWork {
  /** Bytes that one attention worker sends (dispatch) or receives (combine). */
  readonly attentionBytes: number;
  /** Bytes that one expert worker receives or sends. */
  readonly expertBytes: number;
  /** Workers at the other end: messages of one attention worker, and of one expert worker. */
  readonly attentionPeers: number;
  readonly expertPeers: number;
}
