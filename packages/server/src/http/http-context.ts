import type { Clock } from '@megascale/core';
import type { LanguageModel } from '@megascale/engine';
import type { ServerMetrics } from '../routes/metrics.js';

/** What every route needs; made once per server. */
export interface HttpContext {
  readonly model: LanguageModel;
  readonly clock: Clock;
  readonly metrics: ServerMetrics;
  /** Never the same text twice. */
  newId(): string;
  /** Same model, backend and instruction set, same fingerprint: by law the same tokens on any topology. */
  readonly fingerprint: string;
  /** Seconds since 1970 when the model was ready. */
  readonly modelCreated: number;
  /** A stream that is silent for so long gets a comment, so that nothing on the way closes it. */
  readonly keepAliveMs: number;
  /** A client that reads nothing for so long is taken for gone. */
  readonly stalledReaderMs: number;
}
