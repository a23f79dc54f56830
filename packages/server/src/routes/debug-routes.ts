import { flightTrace, pipelineNumbers } from '@megascale/engine';
import type { FastifyInstance } from 'fastify';
import type { HttpContext } from '../http/http-context.js';

/**
 * Adds the routes that `megascale trace`, `pipeline` and `why` ask. Like all routes but /health,
 * they need the key.
 */
export function addDebugRoutes(app: FastifyInstance, { model }: HttpContext): void {
  app.get('/debug/trace', async () => flightTrace(await model.recordings()));
  app.get('/debug/pipeline', async () => pipelineNumbers(await model.recordings()));
  app.get<{ Params: { id: string } }>('/debug/requests/:id', ({ params: { id } }) => {
    const answers = model.accounts(id);
    if (answers.length > 0) return { id, answers };
    const message = `Nothing is known of request ${JSON.stringify(id.slice(0, 100))}: it does not exist, was aborted, or is older than the last thousand.`;
    throw Object.assign(new Error(message), { statusCode: 404 });
  });
}
