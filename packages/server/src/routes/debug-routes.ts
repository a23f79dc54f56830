import { flightTrace, pipelineNumbers } from '@megascale/engine';
import type { FastifyInstance } from 'fastify';
import type { HttpContext } from '../http/http-context.js';

/** What operators ask a running server: `megascale trace`, `pipeline` and `why`. For those who hold the key, like all but /health. */
export function addDebugRoutes(app: FastifyInstance, { model }: HttpContext): void {
  app.get('/debug/trace', async () => flightTrace(await model.recordings()));
  app.get('/debug/pipeline', async () => pipelineNumbers(await model.recordings()));
  app.get<{ Params: { id: string } }>('/debug/requests/:id', ({ params: { id } }) => {
    const answers = model.accounts(id);
    if (answers.length > 0) return { id, answers };
    const message = `Nothing is known of request ${JSON.stringify(id.slice(0, 100))}: it never was, was aborted, or is older than the last thousand.`;
    throw Object.assign(new Error(message), { statusCode: 404 });
  });
}
