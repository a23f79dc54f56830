import type { Clock } from '@megascale/core';
import type { EngineStats, LanguageModel } from '@megascale/engine';
import { Counter, Histogram, Registry } from 'prom-client';
import { EngineMetrics } from './engine-metrics.js';

/** Bucket limits in seconds: first tokens and whole answers take a millisecond to minutes. */
const requestBuckets = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
  160, 640,
];
const tokenBuckets = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1,
  2.5, 5, 10,
];

/**
 * The metrics that Prometheus reads. This class measures the requests, and copies the engine's own
 * figures at each scrape.
 */
export class ServerMetrics {
  readonly #registry = new Registry();
  readonly #engine = new EngineMetrics(this.#registry);
  readonly #model: LanguageModel;
  readonly #clock: Clock;
  readonly #success = new Counter({
    name: 'megascale_request_success_total',
    help: 'Answers that reached their end, by finish reason.',
    labelNames: ['finish_reason'],
    registers: [this.#registry],
  });
  readonly #failure = new Counter({
    name: 'megascale_request_failure_total',
    help: 'Requests refused, aborted or failed, by error code.',
    labelNames: ['code'],
    registers: [this.#registry],
  });
  readonly #ttft = this.#histogram('ttft', 'Request received to its first token.', requestBuckets);
  readonly #itl = this.#histogram('itl', 'Gap between two tokens of a sequence.', tokenBuckets);
  readonly #tpot = this.#histogram(
    'tpot',
    'Time from first to last token over the tokens after the first, per answer.',
    tokenBuckets,
  );
  readonly #e2e = this.#histogram('e2e', 'Request received to its last token.', requestBuckets);

  constructor(model: LanguageModel, clock: Clock) {
    this.#model = model;
    this.#clock = clock;
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Renders the exposition text. Where the engine does not answer, its last figures stay. */
  async render(): Promise<string> {
    const stats = await this.#model.stats().catch((): EngineStats | undefined => undefined);
    this.#engine.update(stats);
    return this.#registry.metrics();
  }

  countFailure(code: string): void {
    this.#failure.inc({ code });
  }

  /** Follows one answer of a request that was received at `receivedUs`. */
  watchAnswer(receivedUs: number): AnswerWatch {
    let firstUs: number | undefined;
    let lastUs = receivedUs;
    let tokenCount = 0;
    const onTokens = (count: number): void => {
      if (count === 0) return;
      const nowUs = this.#clock.nowUs();
      if (firstUs === undefined) {
        firstUs = nowUs;
        this.#ttft.observe((nowUs - receivedUs) / 1e6);
      } else {
        this.#itl.observe((nowUs - lastUs) / 1e6);
      }
      for (let extra = 1; extra < count; extra += 1) this.#itl.observe(0);
      lastUs = nowUs;
      tokenCount += count;
    };
    const onFinish = (finishReason: string): void => {
      this.#success.inc({ finish_reason: finishReason });
      this.#e2e.observe((this.#clock.nowUs() - receivedUs) / 1e6);
      if (firstUs === undefined || tokenCount < 2) return;
      this.#tpot.observe((lastUs - firstUs) / 1e6 / (tokenCount - 1));
    };
    return { onTokens, onFinish };
  }

  #histogram(name: string, help: string, buckets: number[]): Histogram {
    const registers = [this.#registry];
    return new Histogram({ name: `megascale_${name}_seconds`, help, buckets, registers });
  }
}

export interface AnswerWatch {
  onTokens(count: number): void;
  onFinish(finishReason: string): void;
}
