import { BackendError } from '../errors.js';

/** How long the stages of the null backend take, in microseconds; linear in the work, as the paper's T_a and T_e. */
export interface NullTimes {
  /** One `attend`, whatever it holds. */
  readonly attendUs: number;
  /** And for each of its tokens. */
  readonly attendTokenUs: number;
  /** And for each position that its tokens read, their own included. */
  readonly attendContextTokenUs: number;
  /** One `run`, whatever it holds. */
  readonly expertUs: number;
  /** And for each of its rows. */
  readonly expertRowUs: number;
}

/** Longer stages would end no benchmark, and a sum of them no peer's patience. */
const usMax = 60_000_000;

const none: NullTimes = {
  attendUs: 0,
  attendTokenUs: 0,
  attendContextTokenUs: 0,
  expertUs: 0,
  expertRowUs: 0,
};

/**
 * The times among a backend's settings; those that are not given are 0.
 *
 * @throws BackendError 'ERR_BACKEND_UNAVAILABLE' for a name there is not, or a time from outside 0 to 60 s.
 */
export function nullTimes(settings: Readonly<Record<string, number>> = {}): NullTimes {
  for (const [name, value] of Object.entries(settings)) {
    if (Object.hasOwn(none, name) && value >= 0 && value <= usMax) continue;
    throw new BackendError('ERR_BACKEND_UNAVAILABLE', {
      message: `The null backend cannot have ${name} = ${value}. It knows ${Object.keys(none).join(', ')}, each from 0 to ${usMax}.`,
      details: { name, value, known: Object.keys(none) },
    });
  }
  return { ...none, ...settings };
}
