import type { TokenLengths } from '../load/token-lengths.js';
import type { ServingLimits } from '../serve/serving-run.js';
import type { SimulatedInstance } from '../simulated-instance.js';
import type { DayLoad } from './day-load.js';

/**
 * Who gets a request: each in turn, or of so many drawn at random the one with the fewest
 * sequences.
 */
export type FleetRouter =
  { readonly type: 'round-robin' } | { readonly type: 'choices'; readonly count: number };

/** Something that happens to each instance again and again: times between are exponential. */
export interface FleetFaults {
  /** Mean time between failures of one instance (of any worker of it), and how long one lasts. */
  readonly failures?: { readonly meanHoursBetween: number; readonly recoveryS: number };
  /** Mean time between, how long a straggler lasts, and how many times as long steps take. */
  readonly stragglers?: {
    readonly meanHoursBetween: number;
    readonly forS: number;
    readonly factor: number;
  };
}

export interface FleetRun {
  /** Every instance is like this one. */
  readonly instance: SimulatedInstance;
  readonly limits: ServingLimits;
  readonly instances: number;
  readonly load: DayLoad;
  readonly lengths: TokenLengths;
  /** Default 86,400: a day. */
  readonly durationS?: number;
  /** Default: the one with fewer sequences of two. */
  readonly router?: FleetRouter;
  readonly faults?: FleetFaults;
  readonly seed: number;
  /** Default 144. */
  readonly samples?: number;
}
