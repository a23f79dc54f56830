import { ConfigError } from '@megascale/core';
import type { Deployment } from './compose.js';
import { allOptions, secretFields } from './options/all-options.js';
import type { OptionDescription } from './options/describe-options.js';
import { foundText } from './options/option-flags.js';
import { OptionValueError, readValue } from './options/read-value.js';
import type { ServeOptions } from './options/serve-options.js';

/**
 * What the environment says: every option, and secret fields of options. Flags on the command line
 * precede it.
 */
export type Environment = Deployment &
  Partial<ServeOptions> & {
    /** MEGASCALE_PRE_SHARED_KEY: what workers of different hosts prove to each other. */
    readonly preSharedKey?: string;
  };

/**
 * Reads the environment variable of every option: MEGASCALE_ and the option's name. Nothing else
 * reads variables.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' naming the variable.
 */
export function readEnvironment(
  variables: Readonly<Record<string, string | undefined>> = process.env,
): Environment {
  return Object.fromEntries(
    [...allOptions, ...secretFields].flatMap((option) => {
      const text = variables[option.variable];
      return text === undefined ? [] : [[option.name, valueOf(option, text)]];
    }),
  );
}

function valueOf(option: OptionDescription, text: string): unknown {
  const { variable: name } = option;
  try {
    return readValue(option, text);
  } catch (error) {
    if (!(error instanceof OptionValueError)) throw error;
    throw new ConfigError('ERR_CONFIG_FIELD', {
      message: `The environment variable ${name}${foundText(option, text)}: ${error.message}. Change it or unset it.`,
      details: { name, problem: error.message },
    });
  }
}
