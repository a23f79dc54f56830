import { QuantileSketch, type QuantileSummary } from '../quantile-sketch.js';

/** One request under way. */
export interface RequestState {
  readonly arrivalUs: number;
  readonly promptTokens: number;
  firstUs: number;
  lastUs: number;
  tokens: number;
}

/** What is wanted of a request; for counting those that got it. */
export interface ServingTargets {
  readonly ttftMs?: number;
  /** Mean time per output token. */
  readonly tpotMs?: number;
}

/** One moment of a simulation. */
export interface ServingSample {
  readonly atS: number;
  readonly waiting: number;
  readonly running: number;
  /** Part of all KV pages that are held. */
  readonly kvUse: number;
  /** Since the sample before. */
  readonly outputTokensPerSecond: number;
}

/** What a simulation of serving found. Times in milliseconds; quantiles are within 0.4 %. */
export interface ServingReport {
  readonly requests: {
    readonly arrived: number;
    readonly finished: number;
    readonly refused: number;
    /** Under way when the simulation ended. */
    readonly unfinished: number;
  };
  /** From arrival to the first token. */
  readonly ttftMs: QuantileSummary;
  /** Mean time per output token after the first, of each request. */
  readonly tpotMs: QuantileSummary;
  /** Between two tokens of a request. */
  readonly tokenGapMs: QuantileSummary;
  /** Of the time from the end of the warm-up to the end of the arrivals. */
  readonly outputTokensPerSecond: number;
  readonly promptTokensPerSecond: number;
  /** Finished requests within both targets, a second; absent without targets. */
  readonly goodRequestsPerSecond?: number;
  readonly queue: { readonly mean: number; readonly max: number };
  readonly running: { readonly mean: number; readonly max: number };
  readonly kvUse: { readonly mean: number; readonly max: number };
  readonly preemptions: number;
  /** Sequences that were moved because their worker was lost. */
  readonly resumed: number;
  /** Their prompts and answers so far, computed again. */
  readonly recomputedTokens: number;
  readonly steps: number;
  readonly events: number;
  readonly simulatedS: number;
  readonly samples: readonly ServingSample[];
}

/** Collects what a report needs, in memory that does not grow with the number of requests. */
export class ServingMetrics {
  readonly ttftMs = new QuantileSketch();
  readonly tpotMs = new QuantileSketch();
  readonly tokenGapMs = new QuantileSketch();
  readonly counts = { arrived: 0, finished: 0, refused: 0, good: 0, resumed: 0, recomputed: 0 };
  readonly samples: ServingSample[] = [];
  outputTokens = 0;
  promptTokens = 0;
  steps = 0;
  #tokensAtSample = 0;
  #tokensSoFar = 0;

  readonly #windowUs: { readonly from: number; readonly to: number };
  readonly #targets: ServingTargets;

  constructor(windowUs: { readonly from: number; readonly to: number }, targets: ServingTargets) {
    this.#windowUs = windowUs;
    this.#targets = targets;
  }

  onToken(request: RequestState, nowUs: number, finished: boolean): void {
    const counts = nowUs >= this.#windowUs.from && nowUs <= this.#windowUs.to;
    const first = request.tokens === 0;
    if (first) request.firstUs = nowUs;
    if (counts && first) {
      this.ttftMs.add((nowUs - request.arrivalUs) / 1000);
      this.promptTokens += request.promptTokens;
    }
    if (counts && !first) this.tokenGapMs.add((nowUs - request.lastUs) / 1000);
    if (counts) this.outputTokens += 1;
    this.#tokensSoFar += 1;
    request.lastUs = nowUs;
    request.tokens += 1;
    if (finished) this.#finish(request, counts);
  }

  sample(atS: number, state: Omit<ServingSample, 'atS' | 'outputTokensPerSecond'>): void {
    const before = this.samples.at(-1)?.atS ?? 0;
    const tokens = this.#tokensSoFar - this.#tokensAtSample;
    this.#tokensAtSample = this.#tokensSoFar;
    const outputTokensPerSecond = atS > before ? tokens / (atS - before) : 0;
    this.samples.push({ atS, ...state, outputTokensPerSecond });
  }

  /** Mean and maximum of one field over the samples. */
  spread(field: 'waiting' | 'running' | 'kvUse'): { mean: number; max: number } {
    const values = this.samples.map((sample) => sample[field]);
    const sum = values.reduce((total, value) => total + value, 0);
    return { mean: sum / Math.max(1, values.length), max: Math.max(0, ...values) };
  }

  #finish(request: RequestState, counts: boolean): void {
    this.counts.finished += 1;
    if (!counts) return;
    const { ttftMs = Infinity, tpotMs = Infinity } = this.#targets;
    const { arrivalUs, firstUs, lastUs, tokens } = request;
    const perToken = tokens > 1 ? (lastUs - firstUs) / 1000 / (tokens - 1) : 0;
    if (tokens > 1) this.tpotMs.add(perToken);
    if ((firstUs - arrivalUs) / 1000 <= ttftMs && perToken <= tpotMs) this.counts.good += 1;
  }
}
