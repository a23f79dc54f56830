import { ConfigError } from '@megascale/core';
import type { z } from 'zod';
import { fieldError } from '../field-error.js';
import { catalogueSchema, type Accelerator, type Network } from './accelerator.js';
import data from './catalogue.json' with { type: 'json' };

/** Hardware by name. */
export interface Catalogue {
  readonly priceUnit: string;
  readonly accelerators: readonly Accelerator[];
  readonly networks: readonly Network[];
}

/**
 * A catalogue file's content, checked.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' naming the field.
 */
export function parseCatalogue(content: unknown, file = 'catalogue'): Catalogue {
  const result = catalogueSchema.safeParse(content);
  if (!result.success) throw fieldError(file, content, result.error);
  return catalogueOf(result.data);
}

/** The accelerators and networks that this package knows. Parsed once, when first asked for. */
export function builtInCatalogue(): Catalogue {
  builtIn ??= parseCatalogue(data);
  return builtIn;
}
let builtIn: Catalogue | undefined;

/** Entries of `added` take the place of those with the same name. */
export function mergeCatalogues(base: Catalogue, added: Catalogue): Catalogue {
  return {
    priceUnit: base.priceUnit,
    accelerators: mergeByName(base.accelerators, added.accelerators),
    networks: mergeByName(base.networks, added.networks),
  };
}

/** @throws ConfigError 'ERR_CONFIG_FIELD' listing the names there are. */
export function findAccelerator(catalogue: Catalogue, name: string): Accelerator {
  return findByName(catalogue.accelerators, name, 'accelerator');
}

/** @throws ConfigError 'ERR_CONFIG_FIELD' listing the names there are. */
export function findNetwork(catalogue: Catalogue, name: string): Network {
  return findByName(catalogue.networks, name, 'network');
}

/** The accelerator with another network between its machines. */
export function withNetwork(accelerator: Accelerator, network: Network): Accelerator {
  return { ...accelerator, network };
}

function catalogueOf(parsed: z.output<typeof catalogueSchema>): Catalogue {
  return {
    priceUnit: parsed.priceUnit ?? 'price unit',
    accelerators: parsed.accelerators,
    networks: parsed.networks,
  };
}

function mergeByName<Entry extends { readonly name: string }>(
  base: readonly Entry[],
  added: readonly Entry[],
): readonly Entry[] {
  return [...new Map([...base, ...added].map((entry) => [entry.name, entry])).values()];
}

function findByName<Entry extends { readonly name: string }>(
  entries: readonly Entry[],
  name: string,
  kind: string,
): Entry {
  const found = entries.find((entry) => entry.name.toLowerCase() === name.toLowerCase());
  if (found !== undefined) return found;
  const known = entries.map((entry) => entry.name);
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `The catalogue has no ${kind} "${name.slice(0, 80)}"; it has ${known.join(', ')}. Name one of these, or add it with a catalogue file.`,
    details: { name: name.slice(0, 80), known },
  });
}
