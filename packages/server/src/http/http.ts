import { createHash } from 'node:crypto';
import type { Clock } from '@megascale/core';
import type { LanguageModel, ModelInfo } from '@megascale/engine';
import {
  fastify,
  LogController,
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import { bearerCheck, unauthorized } from './authorization.js';
import { refuseBrokenRequest } from './broken-request.js';
import { healthReport } from '../routes/health.js';
import type { HttpContext } from './http-context.js';
import { acceptJsonBodies } from './json-body.js';
import { addDebugRoutes } from '../routes/debug-routes.js';
import { ServerMetrics } from '../routes/metrics.js';
import { handleChatCompletion } from '../openai/chat-completions.js';
import { handleCompletion } from '../openai/completions.js';
import { errorResponse } from '../openai/error-response.js';
import { checkModel, modelFields } from '../openai/models.js';
import { renderPage } from '../web/page.js';

export interface HttpOptions {
  readonly model: LanguageModel;
  readonly clock: Clock;
  /** Returns a text that it never returned before, for request and response ids. */
  newId(): string;
  readonly logger?: FastifyBaseLogger;
  /** The bearer token that every route but /health asks for. Absent: no route asks for a key. */
  readonly apiKey?: string;
  /** Largest request body in bytes. Default: 16 MiB. */
  readonly bodyBytesMax?: number;
  /** Silence after which a stream sends a comment, in milliseconds. Default: 15 000. */
  readonly keepAliveMs?: number;
  /** Time after which the server gives up a client that reads nothing. Default: 60 000. */
  readonly stalledReaderMs?: number;
}

/** How long a client may take to send its request, in milliseconds. */
const requestTimeoutMs = 60_000;

/** Makes the server, which does not listen yet: call `listenOn`, or `inject` in tests. */
export function createHttpServer(options: HttpOptions): FastifyInstance {
  const context = createContext(options);
  const app = fastify({
    ...(options.logger === undefined ? {} : { loggerInstance: options.logger }),
    bodyLimit: options.bodyBytesMax ?? 16 * 1024 * 1024,
    requestTimeout: requestTimeoutMs,
    logController: new LogController({ disableRequestLogging: true }),
    // While draining, routes answer 503 themselves, in OpenAI's shape.
    return503OnClosing: false,
    clientErrorHandler: refuseBrokenRequest,
    genReqId: () => options.newId(),
    frameworkErrors: (error, request, reply) => {
      sendError(error, request, reply);
    },
  });
  acceptJsonBodies(app);
  addHooks(app, context, options.apiKey);
  addRoutes(app, context, options.apiKey);
  return app;
}

function createContext(options: HttpOptions): HttpContext {
  const { model, clock } = options;
  return {
    model,
    clock,
    metrics: new ServerMetrics(model, clock),
    newId: () => options.newId(),
    fingerprint: fingerprintOf(model.info),
    modelCreated: Math.floor(clock.wallMs() / 1000),
    keepAliveMs: options.keepAliveMs ?? 15_000,
    stalledReaderMs: options.stalledReaderMs ?? 60_000,
  };
}

function fingerprintOf({ name, family, vocabSize, backend, isa }: ModelInfo): string {
  const facts = JSON.stringify([name, family, vocabSize, backend, isa]);
  return `fp_${createHash('sha256').update(facts).digest('hex').slice(0, 12)}`;
}

function addHooks(app: FastifyInstance, context: HttpContext, apiKey: string | undefined): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ 'x-request-id': request.id, 'x-content-type-options': 'nosniff' });
  });
  if (apiKey !== undefined) {
    const isAuthorized = bearerCheck(apiKey);
    app.addHook('onRequest', async (request) => {
      if (request.routeOptions.url === '/health') return;
      if (!isAuthorized(request.headers.authorization)) throw unauthorized();
    });
  }
  app.addHook('onResponse', async (request, reply) => {
    const { method, url } = request;
    request.log.debug({ method, url, status: reply.statusCode, ms: reply.elapsedTime }, 'answered');
  });
  app.setErrorHandler((error, request, reply) => {
    // Every POST route generates, so its failures count as failed requests.
    const code = sendError(error, request, reply);
    if (request.method === 'POST') context.metrics.countFailure(code);
  });
  app.setNotFoundHandler((request, reply) => {
    const message = `There is no ${request.method} ${request.url} here; see GET / for what there is.`;
    sendError(Object.assign(new Error(message), { statusCode: 404 }), request, reply);
  });
}

function addRoutes(app: FastifyInstance, context: HttpContext, apiKey: string | undefined): void {
  app.post('/v1/completions', (request, reply) => handleCompletion(context, request, reply));
  app.post('/v1/chat/completions', (request, reply) =>
    handleChatCompletion(context, request, reply),
  );
  app.get('/v1/models', () => ({ object: 'list', data: [modelFields(context)] }));
  // A model's name may have slashes.
  app.get<{ Params: { '*': string } }>('/v1/models/*', (request) => {
    checkModel(context, request.params['*']);
    return modelFields(context);
  });
  const isTrusted = apiKey === undefined ? () => true : bearerCheck(apiKey);
  app.get('/health', async (request, reply) => {
    const { status, body } = await healthReport(context, isTrusted(request.headers.authorization));
    return reply.code(status).send(body);
  });
  app.get('/metrics', async (_request, reply) => {
    const text = await context.metrics.render();
    return reply.type(context.metrics.contentType).send(text);
  });
  addDebugRoutes(app, context);
  app.get('/', (_request, reply) => {
    const { html, headers } = renderPage(context.model.info);
    return reply.headers(headers).send(html);
  });
}

/** Sends the error as the response, and returns its code. */
function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): string {
  const { status, headers, body } = errorResponse(error, request.id);
  if (status >= 500) request.log.error({ err: error }, 'request failed');
  void reply.code(status).headers(headers).send(body);
  return body.error.code;
}
