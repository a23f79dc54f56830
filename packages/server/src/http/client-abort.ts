import { setMaxListeners } from 'node:events';
import type { FastifyReply } from 'fastify';

/** Aborts once the client is gone before its answer was complete. */
export function clientAbort(reply: FastifyReply): AbortController {
  const controller = new AbortController();
  // Every answer of the request listens, and their number has its own limit.
  setMaxListeners(0, controller.signal);
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort();
  });
  // It may have left while its body was read.
  if (reply.raw.destroyed) controller.abort();
  return controller;
}
