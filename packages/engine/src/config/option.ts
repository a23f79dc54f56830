import { z } from 'zod';

/** What one unit of an option's number is. Text may then say `2GiB`, `32K` or `30s`. */
export type OptionUnit = 'bytes' | 'tokens' | 'ms' | 'µs';

/**
 * What users read about an option. All that its schema does not say itself stands here, and only
 * here.
 */
export interface OptionMeta {
  /** What the option does: a phrase for `--help`, the README and editors. */
  readonly help: string;
  /**
   * What the help shows in place of the value. Default: the unit, or `count`, `name` … by the type.
   */
  readonly metavar?: string;
  readonly unit?: OptionUnit;
  /** The default in words, where the model or the machine decides it. */
  readonly defaultText?: string;
  /** A value as it is written on the command line. Options with fields need one. */
  readonly example?: string;
  /**
   * Never shown, and read from an environment variable of its own where it is a field of an option.
   */
  readonly secret?: boolean;
  /**
   * Says whether a value names a file. In a configuration file, such a path starts at that file.
   */
  readonly isPath?: (value: string) => boolean;
}

/** Options that belong together: one heading of the help and one table of the README. */
export interface OptionGroup {
  readonly title: string;
  readonly shape: z.ZodRawShape;
}

const metas = z.registry<OptionMeta>();

/**
 * Describes a schema, which it returns. Comes last: each further method of zod makes another
 * schema.
 */
export function option<Schema extends z.ZodType>(schema: Schema, meta: OptionMeta): Schema {
  metas.add(schema, meta);
  return schema;
}

/** What `option` said of this schema. */
export function optionMeta(schema: z.core.$ZodType): OptionMeta | undefined {
  return metas.get(schema);
}

/** At least 1. */
export const count = z.int().positive();
