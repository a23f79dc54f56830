/** How many rows went to each expert, in some stretch of time. */
export interface ExpertLoads {
  readonly layerCount: number;
  readonly expertCount: number;
  /**
   * Micro-batches whose rows these are, of one layer: a row count over this is what one dispatch
   * brings. May be a fraction.
   */
  readonly dispatches: number;
  /** [layers, experts] */
  readonly rows: ArrayLike<number>;
}

/** What one window of a load trace says. */
export interface LoadWindow {
  /** From the start of the recording to the start of the window, in microseconds. */
  startUs: number;
  durationUs: number;
  /** As in `ExpertLoads`, over all attention workers. */
  dispatches: number;
  /** [layers, experts] */
  readonly rows: Int32Array;
}

/** The sizes that every window of a trace has. */
export interface LoadTraceHeader {
  readonly layerCount: number;
  readonly expertCount: number;
  /** Experts of one token. */
  readonly topK: number;
}

export function emptyWindow({ layerCount, expertCount }: LoadTraceHeader): LoadWindow {
  const rows = new Int32Array(layerCount * expertCount);
  return { startUs: 0, durationUs: 0, dispatches: 0, rows };
}

/** The sum of all windows, of layers and experts as the header says. */
export function totalLoads(
  header: LoadTraceHeader,
  windows: Iterable<Pick<LoadWindow, 'rows' | 'dispatches'>>,
): ExpertLoads {
  const rows = new Float64Array(header.layerCount * header.expertCount);
  let dispatches = 0;
  for (const window of windows) {
    dispatches += window.dispatches;
    for (let index = 0; index < rows.length; index++) {
      rows[index] = (rows[index] ?? 0) + (window.rows[index] ?? 0);
    }
  }
  const { layerCount, expertCount } = header;
  return { layerCount, expertCount, dispatches, rows };
}
