import { RequestError } from '@megascale/core';
import type { FastifyInstance } from 'fastify';

/**
 * Makes the server accept JSON bodies in UTF-8 and refuse all others. It checks the encoding too,
 * so that no broken character is replaced silently.
 */
export function acceptJsonBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      done(null, parseJson(body as Buffer));
    } catch (error) {
      done(error as Error);
    }
  });
}

function parseJson(body: Buffer): unknown {
  const text = decodeUtf8(body);
  try {
    return JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new RequestError('ERR_REQUEST_INVALID', {
      message: `The request body is no JSON (${reason}). Send one JSON object.`,
      cause,
    });
  }
}

function decodeUtf8(body: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch (cause) {
    throw new RequestError('ERR_REQUEST_INVALID', {
      message: 'The request body is not valid UTF-8. Encode it as UTF-8.',
      cause,
    });
  }
}
