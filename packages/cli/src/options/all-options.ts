import { llmOptionGroups, optionMeta } from '@megascale/engine';
import { z } from 'zod';
import { describeOptions, type OptionDescription } from './describe-options.js';
import { innerSchema } from './option-kind.js';
import { logOptions, serveOptionGroups } from './serve-options.js';

/** Options of a running model, which every command that loads one takes. */
export const llmOptions = describeOptions(llmOptionGroups);

/** Options of `serve` alone, and of the log. */
export const serveOptions = describeOptions(serveOptionGroups);
export const logOption = describeOptions([{ title: 'Log', shape: logOptions }]);

/** All that a configuration file and the environment may say. */
export const allOptions: readonly OptionDescription[] = [...llmOptions, ...serveOptions];

/** @throws TypeError for a name that is no option's */
export function optionNamed(name: string): OptionDescription {
  const found = allOptions.find((option) => option.name === name);
  if (found === undefined) throw new TypeError(`There is no option ${name}.`);
  return found;
}

/**
 * Secret fields of options. Each has a variable of its own, for flags are shown to every user of a
 * machine.
 */
export const secretFields = allOptions.flatMap(({ name, group, schema }) => {
  const inner = innerSchema(schema);
  const shape = inner instanceof z.ZodObject ? (inner.shape as z.core.$ZodShape) : {};
  const secrets = Object.entries(shape).filter(([, field]) => optionMeta(field)?.secret === true);
  return describeOptions([{ title: group, shape: Object.fromEntries(secrets) }]).map((field) => ({
    ...field,
    optionName: name,
  }));
});
