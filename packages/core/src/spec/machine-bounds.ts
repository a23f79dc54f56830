/**
 * What the machine itself can do, measured with a backend's own threads and instruction set: the
 * bounds that a model's figures are shares of. Calls block for as long as they measure, some
 * hundred milliseconds.
 */
export interface MachineBounds {
  /**
   * Reads of memory far larger than the caches, all threads together: the best of several numbers
   * of streams per thread. The memory is returned before the call does.
   */
  readBandwidth(byteLength: number): ReadBandwidth;
  multiplyPeak(): MultiplyPeak;
  forkJoin(): ForkJoin;
  /** Copies so many bytes with all threads. */
  copyTime(byteLength: number): CopyTime;
}

export interface ReadBandwidth {
  readonly bytesPerSecond: number;
  /** Each variant's median over its passes. */
  readonly variants: readonly { readonly streams: number; readonly bytesPerSecond: number }[];
}

export interface MultiplyPeak {
  /** The backend's own matrix product, everything in the second-level cache. */
  readonly gemmFlopsPerSecond: number;
  /** The instruction it is made of, on registers alone: no product can be faster. */
  readonly instructionFlopsPerSecond: number;
  /** 'VDPBF16PS', for people. */
  readonly instruction: string;
}

/** What one fork and join of the thread pool costs. */
export interface ForkJoin {
  /** One right after another: the threads are still spinning. */
  readonly spinningUs: number;
  /** After a pause: they have gone to sleep. */
  readonly parkedUs: number;
}

export interface CopyTime {
  /** Into memory that the system has yet to provide, as a load does. */
  readonly freshUs: number;
  /** Into memory that was touched before. */
  readonly touchedUs: number;
}
