/** A place in the order all attention ranks work in: by step, then layer, then micro-batch. */
export interface Position {
  step: number;
  layer: number;
  microBatch: number;
}

/**
 * What an attention rank tells one expert rank about one micro-batch of one layer. Reused, so
 * mutable.
 */
export interface Frame extends Position {
  type: 'rows' | 'park';
  /** Grows by one per frame of a pair of ranks, modulo 2³². */
  sequence: number;
  /** Tokens in the slot, for whatever expert rank. */
  tokens: number;
  /** Rows for this expert rank; 0 = nothing to do and nothing to answer. */
  rowCount: number;
  /** Of the placement that the slot's rows were given to ranks by. */
  placementEpoch: number;
  /** The rank's next frame will not stand before this position. */
  next: Position;
}

export function createFrame(): Frame {
  return {
    type: 'rows',
    sequence: 0,
    step: 0,
    layer: 0,
    microBatch: 0,
    tokens: 0,
    rowCount: 0,
    placementEpoch: 0,
    next: { step: 0, layer: 0, microBatch: 0 },
  };
}

export function copyFrame(from: Frame, to: Frame): void {
  to.type = from.type;
  to.sequence = from.sequence;
  to.tokens = from.tokens;
  to.rowCount = from.rowCount;
  to.placementEpoch = from.placementEpoch;
  copyPosition(from, to);
  copyPosition(from.next, to.next);
}

export function copyPosition(from: Position, to: Position): void {
  to.step = from.step;
  to.layer = from.layer;
  to.microBatch = from.microBatch;
}
