import { BackendError } from '../errors.js';
import type { WaitUntil } from './wait-until.js';

/**
 * How long the stages of the null backend take, in microseconds: linear in the work, as T_a and T_e
 * of the paper.
 */
export interface NullTimes {
  /** The fixed part of one `attend`. */
  readonly attendUs: number;
  /** The part of `attend` for each token. */
  readonly attendTokenUs: number;
  /** The part of `attend` for each position that its tokens read, their own included. */
  readonly attendContextTokenUs: number;
  /** The fixed part of one `run`. */
  readonly expertUs: number;
  /** The part of `run` for each row. */
  readonly expertRowUs: number;
}

/** The times of the null backend's stages, and the clock and the wait that they take them with. */
export interface NullClock {
  readonly times: NullTimes;
  readonly waitUntil: WaitUntil;
  nowUs(): number;
}

/** With longer stages no benchmark would end, and a few of them would exceed a peer timeout. */
const usMax = 60_000_000;

const none: NullTimes = {
  attendUs: 0,
  attendTokenUs: 0,
  attendContextTokenUs: 0,
  expertUs: 0,
  expertRowUs: 0,
};

/**
 * Reads the times from a backend's settings. A time that the settings leave out is 0.
 *
 * @throws BackendError 'ERR_BACKEND_UNAVAILABLE' for an unknown name or a time outside 0 … 60 s.
 */
export function nullTimes(settings: Readonly<Record<string, number>> = {}): NullTimes {
  for (const [name, value] of Object.entries(settings)) {
    if (Object.hasOwn(none, name) && value >= 0 && value <= usMax) continue;
    throw new BackendError('ERR_BACKEND_UNAVAILABLE', {
      message:
        `The null backend cannot have ${name} = ${value}. It knows ` +
        `${Object.keys(none).join(', ')}, each from 0 to ${usMax}.`,
      details: { name, value, known: Object.keys(none) },
    });
  }
  return { ...none, ...settings };
}
