import { setMaxListeners } from 'node:events';
import type { FastifyReply } from 'fastify';

/** Returns a signal that aborts when the client leaves before its answer is complete. */
export function clientAbort(reply: FastifyReply): AbortController {
  const controller = new AbortController();
  // Every answer of the request adds a listener; `answersMax` limits their number.
  setMaxListeners(0, controller.signal);
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort();
  });
  // The client may have left while the server read the body.
  if (reply.raw.destroyed) controller.abort();
  return controller;
}
