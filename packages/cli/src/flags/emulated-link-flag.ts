import type { EmulatedLink } from '@megascale/core';
import { InvalidArgumentError } from 'commander';
import { realNumber, safeInteger } from './number-flags.js';

/** What each part of the flag sets, and what it may be. */
const parts = {
  latencyUs: { field: 'latencyUs', parse: realNumber(0, 60_000_000) },
  jitterUs: { field: 'jitterUs', parse: realNumber(0, 60_000_000) },
  gbps: { field: 'gigabitsPerSecond', parse: realNumber(1e-6) },
  seed: { field: 'seed', parse: safeInteger },
} as const satisfies Record<
  string,
  { readonly field: keyof EmulatedLink; readonly parse: (text: string) => number }
>;

const example = 'latencyUs=100,jitterUs=10,gbps=25,seed=1';

/** A commander parser: 'latencyUs=100,gbps=25' → { latencyUs: 100, gigabitsPerSecond: 25 }. */
export function emulatedLinkFlag(text: string): EmulatedLink {
  const link: { -readonly [Field in keyof EmulatedLink]: EmulatedLink[Field] } = { latencyUs: -1 };
  const seen = new Set<string>();
  for (const part of text.split(',')) {
    const [name = '', value, ...more] = part.split('=').map((side) => side.trim());
    if (!isPart(name) || value === undefined || more.length > 0) {
      throw new InvalidArgumentError(
        `'${part}' is none of ${Object.keys(parts).join(', ')} with a value: ${example}.`,
      );
    }
    if (seen.has(name)) throw new InvalidArgumentError(`${name} is given twice.`);
    seen.add(name);
    link[parts[name].field] = valueOf(name, value);
  }
  if (!seen.has('latencyUs')) {
    throw new InvalidArgumentError(`latencyUs is missing: ${example}. It may be 0.`);
  }
  return link;
}

/** The flag that makes this link. */
export function emulatedLinkText(link: EmulatedLink): string {
  return Object.entries(parts)
    .filter(([, { field }]) => link[field] !== undefined)
    .map(([name, { field }]) => `${name}=${String(link[field])}`)
    .join(',');
}

function isPart(name: string): name is keyof typeof parts {
  return Object.hasOwn(parts, name);
}

function valueOf(name: keyof typeof parts, text: string): number {
  try {
    return parts[name].parse(text);
  } catch (error) {
    throw new InvalidArgumentError(
      `${name}: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
