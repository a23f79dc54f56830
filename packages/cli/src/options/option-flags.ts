import { optionMeta } from '@megascale/engine';
import { Option, type Command } from 'commander';
import { z } from 'zod';
import { UsageError } from '../output/usage-error.js';
import { flagOf, type OptionDescription } from './describe-options.js';
import { boundsText, defaultText, innerSchema, isBoolean, schemaDefault } from './option-kind.js';
import { OptionValueError, readValue } from './read-value.js';

/** Adds the flags of these options, under the headings of their groups. */
export function addOptionFlags(command: Command, options: readonly OptionDescription[]): Command {
  for (const option of options) for (const flag of optionFlags(option)) command.addOption(flag);
  return command;
}

/**
 * The flag of an option; of one that is true or false also its opposite, which the help leaves out.
 * Flags have no default: what the command line does not say, the environment or the configuration
 * file may.
 */
export function optionFlags(option: OptionDescription): readonly Option[] {
  if (isBoolean(option)) return booleanFlags(option);
  const { flag, schema, group } = option;
  const metavar = metavarOf(option);
  const mayBeBare = schema.safeParse({}).success && schema.safeParse(undefined).success;
  const isBare = mayBeBare && schemaDefault(schema) === undefined;
  const made = new Option(`${flag} ${isBare ? `[${metavar}]` : `<${metavar}>`}`, helpOf(option))
    .helpGroup(`${group}:`)
    .argParser((text: string) => valueOfFlag(option, text));
  const inner = innerSchema(schema);
  // For completions; the help lists them.
  if (inner instanceof z.ZodEnum) made.argChoices = inner.options.map(String);
  return [made];
}

/** `attention workers (1 to 64; default: 1)` */
export function helpOf({ schema, meta }: OptionDescription): string {
  const bounds = boundsText(schema);
  const byDefault =
    isBoolean({ schema }) && meta.defaultText === undefined ? undefined : defaultText(schema, meta);
  const isChoice = innerSchema(schema) instanceof z.ZodUnion;
  const notes = [
    ...(bounds === undefined || innerSchema(schema) instanceof z.ZodEnum ? [] : [bounds]),
    ...(meta.example?.includes('=') === true && !isChoice ? [`such as ${meta.example}`] : []),
    ...(byDefault === undefined ? [] : [`default: ${byDefault}`]),
  ];
  const text = notes.length === 0 ? meta.help : `${meta.help} (${notes.join('; ')})`;
  return withFlags(text);
}

/** With the names of other options as their flags: `kvPages` → `--kv-pages`. */
function withFlags(text: string): string {
  return text.replace(/\b[a-z]+(?:[A-Z][a-z]+)+\b(?!=)/g, (name) => flagOf(name));
}

function booleanFlags(option: OptionDescription): readonly Option[] {
  const { flag, schema, meta, group } = option;
  const isOn = schemaDefault(schema) === true;
  const yes = new Option(flag, helpOf(option)).helpGroup(`${group}:`).hideHelp(isOn);
  const no = new Option(flag.replace('--', '--no-'), `do not ${meta.help}`)
    .helpGroup(`${group}:`)
    .hideHelp(!isOn);
  return [yes, no];
}

/** What the help shows for the value. */
export function metavarOf({ schema, meta }: OptionDescription): string {
  if (meta.metavar !== undefined) return meta.metavar;
  if (meta.unit !== undefined) return meta.unit;
  return innerSchema(schema) instanceof z.ZodNumber ? 'count' : 'name';
}

/** @throws UsageError naming the flag, what was found and what is allowed. */
function valueOfFlag(option: OptionDescription, text: string): unknown {
  try {
    return readValue(option, text);
  } catch (error) {
    if (!(error instanceof OptionValueError)) throw error;
    throw new UsageError(`${option.flag}${foundText(option, text)}: ${error.message}.`);
  }
}

/** ` 'text'`, unless the option may hold a secret. */
export function foundText({ schema, meta }: OptionDescription, given: unknown): string {
  const inner = innerSchema(schema);
  const shape: z.core.$ZodShape = inner instanceof z.ZodObject ? inner.shape : {};
  const fields = Object.values(shape);
  if (meta.secret === true || fields.some((field) => optionMeta(field)?.secret === true)) return '';
  const text = typeof given === 'string' ? given : JSON.stringify(given);
  return ` '${text.slice(0, 80)}'`;
}
