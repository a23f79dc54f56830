import { ConfigError } from '@megascale/core';
import { z } from 'zod';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** What the environment may say. Flags on the command line go first. */
export interface Environment {
  /** MEGASCALE_LOG */
  readonly logLevel?: LogLevel;
  /** MEGASCALE_API_KEY: a flag would show the key to every user of the machine. */
  readonly apiKey?: string;
  /** MEGASCALE_PRE_SHARED_KEY: what workers of different hosts prove to each other. */
  readonly preSharedKey?: string;
}

const schema = z.object({
  MEGASCALE_LOG: z.enum(logLevels).optional(),
  MEGASCALE_API_KEY: z.string().min(1).optional(),
  MEGASCALE_PRE_SHARED_KEY: z.string().min(1).optional(),
});

/**
 * The only reader of environment variables.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' naming the variable.
 */
export function readEnvironment(
  variables: Readonly<Record<string, string | undefined>> = process.env,
): Environment {
  const parsed = schema.safeParse(variables);
  if (!parsed.success) throw badVariable(String(parsed.error.issues[0]?.path[0]));
  const {
    MEGASCALE_LOG: logLevel,
    MEGASCALE_API_KEY: apiKey,
    MEGASCALE_PRE_SHARED_KEY: preSharedKey,
  } = parsed.data;
  return {
    ...(logLevel === undefined ? {} : { logLevel }),
    ...(apiKey === undefined ? {} : { apiKey }),
    ...(preSharedKey === undefined ? {} : { preSharedKey }),
  };
}

function badVariable(name: string): ConfigError {
  const expected = name === 'MEGASCALE_LOG' ? `one of ${logLevels.join(', ')}` : 'some text';
  return new ConfigError('ERR_CONFIG_FIELD', {
    message: `The environment variable ${name} must be ${expected}. Change it or unset it.`,
    details: { name, expected },
  });
}
