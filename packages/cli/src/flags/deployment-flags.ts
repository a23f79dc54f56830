import type { Command, Option } from 'commander';
import type { Deployment } from '../compose.js';
import { readEnvironment, type Environment } from '../environment.js';
import { llmOptions, optionNamed, secretFields } from '../options/all-options.js';
import { readConfigFile, type OptionValues } from '../options/config-file.js';
import type { OptionDescription } from '../options/describe-options.js';
import { isBoolean } from '../options/option-kind.js';
import { addOptionFlags, optionFlags } from '../options/option-flags.js';

/** Values of the flags that `addDeploymentFlags` adds, as commander names them. */
export type DeploymentFlags = Deployment & {
  /** `--config` */
  readonly config?: string;
};

/**
 * Options that a command leaves out, because it sets them itself or has a flag of the same name.
 */
type Without = readonly (keyof Deployment)[];

/**
 * How the model is to run: the same flags for every command that runs one, one for each option of
 * the engine.
 */
export function addDeploymentFlags(command: Command, without: Without = []): Command {
  command.option('--config <file>', 'options by name, as YAML or JSON; flags precede it');
  return addOptionFlags(command, optionsWithout(without));
}

/** What flags, environment and configuration file say, in this order of precedence. */
export function deploymentOf(
  flags: DeploymentFlags,
  environment: Environment = readEnvironment(),
  without: Without = [],
): Deployment {
  return withSecrets(givenValues(flags, environment, optionsWithout(without)), environment);
}

/**
 * Values of these options by name: of each, what its first source says. Without those that no
 * source has.
 */
export function givenValues(
  flags: object & { readonly config?: string },
  environment: OptionValues,
  options: readonly OptionDescription[],
): OptionValues {
  const given: OptionValues = { ...flags };
  const file = flags.config === undefined ? {} : readConfigFile(flags.config);
  return Object.fromEntries(
    options.flatMap((option) => {
      const { name } = option;
      // Of a flag whose value may be left out, commander says true.
      const flag = given[name] === true && !isBoolean(option) ? {} : given[name];
      const value = flag ?? environment[name] ?? file[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

/** With the secrets that the environment holds put into the options that they are fields of. */
function withSecrets(values: OptionValues, environment: OptionValues): Deployment {
  const filled: Record<string, unknown> = { ...values };
  for (const { name, optionName } of secretFields) {
    const secret = environment[name];
    if (secret !== undefined)
      filled[optionName] = { ...(filled[optionName] ?? {}), [name]: secret };
  }
  return filled;
}

function optionsWithout(without: Without): readonly OptionDescription[] {
  return llmOptions.filter(({ name }) => !(without as readonly string[]).includes(name));
}

/**
 * The flag of one option, for commands that take only some.
 *
 * @param byDefault what the command does without the flag, where that differs from the engine
 */
export function optionFlag(name: keyof Deployment, byDefault?: string): Option {
  const option = optionNamed(name);
  const defaultText = byDefault === undefined ? {} : { defaultText: byDefault };
  const [flag] = optionFlags({ ...option, meta: { ...option.meta, ...defaultText } });
  if (flag === undefined) throw new TypeError(`${name} has no flag.`);
  return flag;
}
