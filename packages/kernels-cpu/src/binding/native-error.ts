import {
  BackendError,
  ConfigError,
  MegascaleError,
  type BackendErrorCode,
  type ConfigErrorCode,
} from '@megascale/core';

const backendCodes: readonly BackendErrorCode[] = [
  'ERR_BACKEND_UNAVAILABLE',
  'ERR_OUT_OF_MEMORY',
  'ERR_SHAPE',
  'ERR_DEVICE',
];
const configCodes: readonly ConfigErrorCode[] = ['ERR_CHECKPOINT_CORRUPT'];

/**
 * Calls the addon.
 *
 * @throws BackendError or ConfigError where the addon threw an error with one of their codes, and
 * whatever else the call throws as it is.
 */
export function callNative<Result>(call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    throw fromNative(error);
  }
}

/** The error of the addon as a typed error, if its code is one of core's. */
export function fromNative(error: unknown): unknown {
  if (MegascaleError.isInstance(error)) return error;
  if (!(error instanceof Error) || !('code' in error)) return error;
  const { code, message } = error;
  const backendCode = backendCodes.find((known) => known === code);
  if (backendCode !== undefined) return new BackendError(backendCode, { message, cause: error });
  const configCode = configCodes.find((known) => known === code);
  if (configCode !== undefined) return new ConfigError(configCode, { message, cause: error });
  return error;
}

/** @throws BackendError 'ERR_SHAPE' with this text. */
export function refuse(message: string): never {
  throw new BackendError('ERR_SHAPE', { message });
}

/** @throws BackendError 'ERR_DEVICE': this thing was closed. */
export function refuseClosed(name: string): never {
  throw new BackendError('ERR_DEVICE', { message: `The ${name} is closed. Create a new one.` });
}
