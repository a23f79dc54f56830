import { randomUUID } from 'node:crypto';
import { systemClock } from '@megascale/core';
import type { FastifyInstance } from 'fastify';
import { createHttpServer, type HttpOptions } from './http.js';

/** Makes the HTTP server with the system clock and random request ids. It does not listen yet. */
export function composeHttpServer(options: Omit<HttpOptions, 'clock' | 'newId'>): FastifyInstance {
  return createHttpServer({ ...options, clock: systemClock, newId: randomUUID });
}
