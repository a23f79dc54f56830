/**
 * What lies where in shared memory. Every number here is part of the protocol: change one and
 * `protocolVersion` must grow. Offsets are in 32-bit words unless their name says bytes.
 */
export const protocolVersion = 4;

/** First word of a segment: 'M2NA' and 'M2NE'. */
export const segmentMagic = { attention: 0x4d324e41, expert: 0x4d324e45 } as const;

/** One cache line: words written by different ranks never share one. */
export const cacheLineWords = 16;

/** Words at the start of every segment. */
export const segmentWord = {
  magic: 0,
  version: 1,
  nonceLow: 2,
  nonceHigh: 3,
  layoutHash: 4,
  rank: 5,
  /** One of `segmentState`. */
  state: 16,
  /** Grows with every ring; the owner of the segment waits on it. */
  doorbellCount: 32,
  /** 1 while the owner sleeps. */
  doorbellParked: 33,
  /** Expert segments: greatest step seen in any frame, low then high 32 bits. Monotonic. */
  stepSeenLow: 48,
  stepSeenHigh: 49,
  /**
   * Expert segments: attention rank + 1 that the gather waits for; 0 = none. For error messages.
   */
  waitsFor: 50,
  /** [peers] 1 once that peer has mapped this segment. */
  peerMapped: 64,
} as const;

/**
 * 'lost' is never written by the owner: a network's I/O thread writes it into its copy once the
 * owner cannot be reached.
 */
export const segmentState = { opening: 0, open: 1, closed: 2, lost: 3 } as const;

/** Words of one frame; a frame fills one cache line. */
export const frameWord = {
  /** One of `frameKind`. */
  kind: 0,
  sequence: 1,
  stepLow: 2,
  stepHigh: 3,
  layer: 4,
  microBatch: 5,
  tokens: 6,
  /** Rows for the expert rank at the end of this ring. */
  rowCount: 7,
  /** The position of the rank's next frame. */
  nextStepLow: 8,
  nextStepHigh: 9,
  nextLayer: 10,
  nextMicroBatch: 11,
  /** Of the placement that says which rank takes which row of the slot. */
  placementEpoch: 12,
} as const;

/** Words of one entry of `PairWords.replies`. */
export const replyWord = {
  /** Sequence number of the frame last answered. */
  sequence: 0,
} as const;

export const replyWords = 1;

/** A frame's first word: 16 bits of magic, 8 of version, 8 of kind. */
export const frameKind = {
  rows: 0x4d320000 | (protocolVersion << 8) | 1,
  park: 0x4d320000 | (protocolVersion << 8) | 2,
} as const;

export const frameWords = cacheLineWords;

/** Frames of one ring, a power of two. A reader in `receive` empties it at once. */
export const ringFrames = 64;

/**
 * Slots start here and their parts at multiples of it, so that kernels may use aligned vector
 * loads.
 */
export const slotAlignmentBytes = 64;

/** Limits of what an address or an option may ask for. */
export const workersMax = 1024;
export const slotsMax = 64;
/**
 * Steps one deployment may run: far from where numbers stop being exact, because ranks go on from
 * the greatest step seen.
 */
export const stepsMax = 2 ** 52;
export const layersMax = 4096;
export const tokensMax = 1 << 20;
export const topKMax = 256;
export const hiddenSizeMax = 1 << 20;
export const expertsMax = 1 << 16;
export const segmentBytesMax = 2 ** 40;
export const addressCharactersMax = 4096;
