import type { Clock } from '@megascale/core';
import type { LanguageModel } from '@megascale/engine';
import type { ServerMetrics } from '../routes/metrics.js';

/** What every route needs. The server makes it once. */
export interface HttpContext {
  readonly model: LanguageModel;
  readonly clock: Clock;
  readonly metrics: ServerMetrics;
  /** Returns a text that it never returned before. */
  newId(): string;
  /** Equal for equal model, backend and instruction set; the topology changes no token. */
  readonly fingerprint: string;
  /** When the model became ready, in seconds since 1970. */
  readonly modelCreated: number;
  /**
   * After so many silent milliseconds a stream sends a comment, which keeps proxies from closing
   * it.
   */
  readonly keepAliveMs: number;
  /** The server gives up a client that reads nothing for so many milliseconds. */
  readonly stalledReaderMs: number;
}
