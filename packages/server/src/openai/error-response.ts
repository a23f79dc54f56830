import { MegascaleError, type MegascaleErrorCode } from '@megascale/core';

/** OpenAI's form of an error. `code` is MegaScale's stable code, `param` the field at fault. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string;
  };
}

export interface ErrorResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: ErrorBody;
}

/** Seconds after which a refused client may come back, for the header Retry-After. */
const retryAfterSeconds = { 429: 1, 503: 5 } as const;

/** The status of each error code; a code without one is the server's fault, 500. */
const statusByCode: Partial<Record<MegascaleErrorCode, number>> = {
  ERR_REQUEST_INVALID: 400,
  ERR_CONTEXT_LENGTH: 400,
  ERR_UNAUTHORIZED: 401,
  ERR_MODEL_UNKNOWN: 404,
  ERR_QUEUE_FULL: 429,
  ERR_ABORTED: 499,
  ERR_UNAVAILABLE: 503,
  ERR_PEER_TIMEOUT: 503,
  ERR_PEER_CLOSED: 503,
};

/**
 * Makes status, headers and body of any error. The text of an unexpected error stays in the log.
 */
export function errorResponse(error: unknown, requestId: string): ErrorResponse {
  if (MegascaleError.isInstance(error)) {
    const status = statusOf(error);
    return respond(status, error.message, { code: error.code, param: paramOf(error) });
  }
  const status = clientFaultStatus(error);
  if (status !== undefined && error instanceof Error) {
    return respond(status, error.message, { code: 'ERR_REQUEST_INVALID', param: null });
  }
  const message = `The server failed on this request; its log has the cause under request id ${requestId}.`;
  return respond(500, message, { code: 'ERR_INTERNAL', param: null });
}

/** Returns the status of an error. A request error may name one: 404, 413 and 415 share a code. */
function statusOf(error: MegascaleError): number {
  const { status } = error.details;
  return typeof status === 'number' ? status : (statusByCode[error.code] ?? 500);
}

/**
 * Returns the request field at fault. The engine names its own option in camelCase, and OpenAI's
 * field is the same in snake_case.
 */
function paramOf(error: MegascaleError): string | null {
  const { param, field } = error.details;
  if (typeof param === 'string') return param;
  if (typeof field !== 'string') return null;
  return field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Returns the 4xx status of a request that Fastify itself refuses: a body too large, a bad URL. */
function clientFaultStatus(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('statusCode' in error)) return undefined;
  const { statusCode } = error;
  return typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500
    ? statusCode
    : undefined;
}

function respond(
  status: number,
  message: string,
  { code, param }: { readonly code: string; readonly param: string | null },
): ErrorResponse {
  return {
    status,
    headers: headersOf(status),
    body: { error: { message, type: typeOf(status), param, code } },
  };
}

function headersOf(status: number): Record<string, string> {
  if (status === 429 || status === 503) return { 'retry-after': String(retryAfterSeconds[status]) };
  return status === 401 ? { 'www-authenticate': 'Bearer' } : {};
}

function typeOf(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 429) return 'rate_limit_error';
  return status >= 500 ? 'server_error' : 'invalid_request_error';
}
