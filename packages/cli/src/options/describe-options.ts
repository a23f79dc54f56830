import { optionMeta, type OptionGroup, type OptionMeta } from '@megascale/engine';
import type { z } from 'zod';

/**
 * One option as every surface shows it: flag, environment variable, configuration file, help,
 * README.
 */
export interface OptionDescription {
  /** The key in programs and configuration files: `maxModelLen`. */
  readonly name: string;
  /** `--max-model-len` */
  readonly flag: string;
  /** `MEGASCALE_MAX_MODEL_LEN` */
  readonly variable: string;
  /** The heading that the option stands under. */
  readonly group: string;
  readonly schema: z.ZodType;
  readonly meta: OptionMeta;
}

/** Options of these groups, in their order. */
export function describeOptions(groups: readonly OptionGroup[]): readonly OptionDescription[] {
  return groups.flatMap(({ title, shape }) =>
    Object.entries(shape).map(([name, schema]) => describe(name, title, schema as z.ZodType)),
  );
}

function describe(name: string, group: string, schema: z.ZodType): OptionDescription {
  const meta = optionMeta(schema);
  if (meta === undefined) throw new TypeError(`The option ${name} is not described.`);
  return { name, flag: flagOf(name), variable: variableOf(name), group, schema, meta };
}

/** `maxModelLen` → `--max-model-len` */
export function flagOf(name: string): string {
  return `--${kebab(name)}`;
}

/** `maxModelLen` → `MEGASCALE_MAX_MODEL_LEN` */
function variableOf(name: string): string {
  return `MEGASCALE_${kebab(name).toUpperCase().replaceAll('-', '_')}`;
}

/** `maxModelLen` → `max-model-len` */
function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
