import { ConfigError } from '../../errors.js';

/** The error for a checkpoint, or a part of one, that is not there. */
export function missingCheckpoint(what: string, remedy: string, cause?: unknown): ConfigError {
  const reason = cause instanceof Error ? ` (${cause.message})` : '';
  return new ConfigError('ERR_CHECKPOINT_MISSING', {
    message: `${what}${reason}. ${remedy}`,
    details: { what },
    cause,
  });
}

/** The error for a checkpoint file that cannot be trusted. */
export function corruptFile(
  file: string,
  reason: string,
  details: Readonly<Record<string, unknown>> = {},
): ConfigError {
  return new ConfigError('ERR_CHECKPOINT_CORRUPT', {
    message: `${file} is not a valid checkpoint file: ${reason}. Fetch or write it again.`,
    details: { file, reason, ...details },
  });
}
