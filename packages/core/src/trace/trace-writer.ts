/** A document of the Trace Event Format, which Perfetto and chrome://tracing open. */
export interface ChromeTrace {
  readonly displayTimeUnit: 'ms';
  readonly traceEvents: readonly TraceEvent[];
}

/** One event of a trace. Times are microseconds after the first event of the trace. */
export interface TraceEvent {
  readonly name: string;
  /** 'X': a span that starts at `ts` and lasts `dur`; 'M': metadata, here the name of a process. */
  readonly ph: 'X' | 'M';
  readonly pid: number;
  /** The lane of the process in which a viewer draws the event. */
  readonly tid: number;
  readonly ts: number;
  readonly dur?: number;
  readonly args: Readonly<Record<string, string | number>>;
}

/** A span of time in one lane of one process, in microseconds of any one clock. */
export interface TraceSpan {
  readonly name: string;
  readonly pid: number;
  /** Default 1. Spans of one lane must nest; spans that overlap need different lanes. */
  readonly lane?: number;
  readonly startUs: number;
  readonly endUs: number;
  readonly args: TraceEvent['args'];
}

/** Collects the events of a trace. The events keep the order in which they were written. */
export class TraceWriter {
  readonly #events: TraceEvent[] = [];
  #originUs = Infinity;

  /** Names a process. `args` appear beside the name. */
  process(pid: number, name: string, args: TraceEvent['args'] = {}): void {
    this.#events.push({
      name: 'process_name',
      ph: 'M',
      pid,
      tid: 1,
      ts: 0,
      args: { name, ...args },
    });
  }

  span({ name, pid, lane = 1, startUs, endUs, args }: TraceSpan): void {
    this.#originUs = Math.min(this.#originUs, startUs);
    this.#events.push({ name, ph: 'X', pid, tid: lane, ts: startUs, dur: endUs - startUs, args });
  }

  /** Returns what was written so far, on a clock that starts with the first span. */
  trace(): ChromeTrace {
    return {
      displayTimeUnit: 'ms',
      traceEvents: this.#events.map((event) =>
        event.ph === 'X' ? { ...event, ts: event.ts - this.#originUs } : event,
      ),
    };
  }
}
