import type { LanguageModel } from '@megascale/engine';
import type { FastifyInstance } from 'fastify';

export interface DrainOptions {
  /** Milliseconds in which running requests may finish. */
  readonly drainMs: number;
  /** Milliseconds in which their last bytes may then leave. Default: 1000. */
  readonly flushMs?: number;
}

/** How often `drain` closes connections that have become idle, in milliseconds. */
const idleCheckMs = 25;

/**
 * Refuses new requests, lets running ones finish within the limit, then stops the server and the
 * model.
 */
export async function drain(
  app: FastifyInstance,
  model: LanguageModel,
  options: DrainOptions,
): Promise<void> {
  const serverClosed = app.close();
  // A client that keeps its connection after its last answer would hold the server for minutes.
  const idleCheck = setInterval(() => {
    app.server.closeIdleConnections();
  }, idleCheckMs);
  let flushLimit: NodeJS.Timeout | undefined;
  try {
    await model.close({ drainMs: options.drainMs });
    flushLimit = setTimeout(() => {
      app.server.closeAllConnections();
    }, options.flushMs ?? 1000);
    await serverClosed;
  } finally {
    clearInterval(idleCheck);
    clearTimeout(flushLimit);
  }
}
