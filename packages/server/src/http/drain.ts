import type { LanguageModel } from '@megascale/engine';
import type { FastifyInstance } from 'fastify';

export interface DrainOptions {
  /** How long running requests may still take. */
  readonly drainMs: number;
  /** How long their last bytes may then take to leave. Default 1000. */
  readonly flushMs?: number;
}

/** How often connections that have become idle are looked for, in milliseconds. */
const idleCheckMs = 25;

/** Takes no new request, lets running ones finish within the limit, then stops the server and the model. */
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
