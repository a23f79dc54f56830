/**
 * Every error this project throws on purpose. `code` is stable and documented; `message` ends with
 * the remedy; `details` holds the same facts as data. Unknown errors are bugs.
 */
export type MegascaleErrorCode =
  ConfigErrorCode | BackendErrorCode | TransportErrorCode | PolicyErrorCode | RequestErrorCode;

export type ConfigErrorCode =
  | 'ERR_CONFIG_FIELD'
  | 'ERR_WEIGHT_UNKNOWN'
  | 'ERR_WEIGHT_MISSING'
  | 'ERR_WEIGHT_SHAPE'
  | 'ERR_WEIGHT_FORMAT'
  | 'ERR_CHECKPOINT_MISSING'
  | 'ERR_CHECKPOINT_CORRUPT'
  | 'ERR_ARCHITECTURE_UNKNOWN'
  | 'ERR_TRACE_CORRUPT'
  | 'ERR_PORT_IN_USE';
export type BackendErrorCode =
  'ERR_BACKEND_UNAVAILABLE' | 'ERR_NATIVE_LOAD' | 'ERR_OUT_OF_MEMORY' | 'ERR_SHAPE' | 'ERR_DEVICE';
export type TransportErrorCode =
  | 'ERR_PEER_TIMEOUT'
  | 'ERR_PEER_CLOSED'
  | 'ERR_PROTOCOL_VERSION'
  | 'ERR_FRAME_INVALID'
  | 'ERR_SLOT_BUSY'
  | 'ERR_SLOT_OVERFLOW';
export type PolicyErrorCode = 'ERR_PLAN_INVALID' | 'ERR_PLAN_TIMEOUT';
export type RequestErrorCode =
  | 'ERR_REQUEST_INVALID'
  | 'ERR_CONTEXT_LENGTH'
  | 'ERR_MODEL_UNKNOWN'
  | 'ERR_UNAUTHORIZED'
  | 'ERR_QUEUE_FULL'
  | 'ERR_UNAVAILABLE'
  | 'ERR_ABORTED';

export interface MegascaleErrorOptions {
  /** A sentence that names what was found, what was expected and what to do. */
  readonly message: string;
  /** The facts of the message as data, for programs. */
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

const marker = Symbol.for('megascale.error');

/**
 * Base of all errors. Use `isInstance`: it also recognizes errors of another copy of this package.
 */
export class MegascaleError<Code extends string = MegascaleErrorCode> extends Error {
  readonly code: Code;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: Code, options: MegascaleErrorOptions) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.details = options.details ?? {};
    Object.defineProperty(this, marker, { value: true });
  }

  static isInstance(error: unknown): error is MegascaleError {
    return typeof error === 'object' && error !== null && marker in error;
  }
}

/** The deployment or the model on disk is wrong; nothing was started. */
export class ConfigError extends MegascaleError<ConfigErrorCode> {}
/** The computing side cannot do what was asked. */
export class BackendError extends MegascaleError<BackendErrorCode> {}
/** A peer or its bytes are late, gone or wrong. The message says who waits for whom. */
export class TransportError extends MegascaleError<TransportErrorCode> {}
/**
 * A scheduler policy failed, took too long, or returned a plan that breaks a rule; the message
 * names the rule.
 */
export class PolicyError extends MegascaleError<PolicyErrorCode> {}
/** The server cannot do what one request asks for. No other request is affected. */
export class RequestError extends MegascaleError<RequestErrorCode> {}

/** An error as plain data, to cross a process or thread border. */
export interface SerializedError {
  readonly name: string;
  readonly code?: string | undefined;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

const classes = { ConfigError, BackendError, TransportError, PolicyError, RequestError } as const;

export function serializeError(error: unknown): SerializedError {
  if (MegascaleError.isInstance(error)) {
    const { name, code, message, details } = error;
    return { name, code, message, details };
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { name: 'Error', code: undefined, message, details: {} };
}

/**
 * The inverse of `serializeError`: a typed error again where the class is known, else an `Error`.
 */
export function deserializeError(data: SerializedError): Error {
  if (data.code === undefined || !(data.name in classes)) return new Error(data.message);
  const constructor = classes[data.name as keyof typeof classes] as new (
    code: string,
    options: MegascaleErrorOptions,
  ) => Error;
  return new constructor(data.code, { message: data.message, details: data.details });
}
