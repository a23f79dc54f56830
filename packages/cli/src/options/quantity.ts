import type { OptionUnit } from '@megascale/engine';

const sizes: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
  T: 2 ** 40,
};
const byteSizes: Readonly<Record<string, number>> = {
  ...sizes,
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
};
/** Microseconds of each. */
const durations: Readonly<Record<string, number>> = {
  us: 1,
  µs: 1,
  ms: 1e3,
  s: 1e6,
  m: 6e7,
  min: 6e7,
  h: 3.6e9,
};

/**
 * A number as people write it. Text with a suffix is in that unit, text without in the option's
 * own. K, M, G and T are powers of 1024 as in KiB; k, kB, MB, GB and TB are powers of 1000.
 *
 * @returns undefined for text that is no such number
 */
export function quantity(text: string, unit: OptionUnit | undefined): number | undefined {
  const [, digits = '', suffix = ''] =
    /^([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*([a-zµ]*)$/i.exec(text.trim()) ?? [];
  if (digits === '') return undefined;
  const value = Number(digits);
  if (suffix === '') return value;
  switch (unit) {
    case undefined:
      return undefined;
    case 'bytes':
      return scaled(value, byteSizes, suffix);
    case 'tokens':
      return scaled(value, sizes, suffix);
    case 'ms':
    case 'µs': {
      const microseconds = Object.hasOwn(durations, suffix) ? durations[suffix] : undefined;
      return microseconds === undefined
        ? undefined
        : (value * microseconds) / (unit === 'ms' ? 1000 : 1);
    }
  }
}

function scaled(
  value: number,
  factors: Readonly<Record<string, number>>,
  suffix: string,
): number | undefined {
  const factor = Object.hasOwn(factors, suffix) ? factors[suffix] : undefined;
  return factor === undefined ? undefined : Math.round(value * factor);
}

/** `1073741824` bytes → `1 GiB`; other numbers in plain digits. */
export function quantityText(value: number, unit: OptionUnit | undefined): string {
  if (unit !== 'bytes') return String(value);
  const [name, factor] =
    Object.entries(byteSizes).find(
      ([suffix, size]) => suffix.endsWith('iB') && value % size === 0 && value / size < 1024,
    ) ?? [];
  return name === undefined || factor === undefined
    ? `${value} bytes`
    : `${value / factor} ${name}`;
}
