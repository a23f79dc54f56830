import type { RandomStream } from '../random-stream.js';

/**
 * How the rate of arrivals goes through the day: mean × (1 + amplitude × cos(2π (hour − peakHour) /
 * 24)).
 */
export interface DayLoad {
  readonly requestsPerSecond: number;
  /** 0: always the mean; below 1. Default 0.5. */
  readonly amplitude?: number;
  /** Default 15. */
  readonly peakHour?: number;
}

/** Requests a second at this time. */
export function rateAt(
  { requestsPerSecond, amplitude = 0.5, peakHour = 15 }: DayLoad,
  seconds: number,
): number {
  const hour = seconds / 3600;
  return requestsPerSecond * (1 + amplitude * Math.cos((2 * Math.PI * (hour - peakHour)) / 24));
}

const pieceS = 60;

/** Poisson arrivals at a rate that is the load's in the middle of every minute. */
export class DayArrivals {
  #nowS = 0;
  #pieceEndS = pieceS;
  #rate: number;

  readonly #load: DayLoad;
  readonly #random: RandomStream;

  constructor(load: DayLoad, random: RandomStream) {
    this.#load = load;
    this.#random = random;

    this.#rate = rateAt(load, pieceS / 2);
  }

  /** The next arrival, in seconds; Infinity from `untilS` on. */
  next(untilS: number): number {
    for (;;) {
      const at = this.#nowS + this.#random.exponential() / this.#rate;
      if (at < this.#pieceEndS) {
        this.#nowS = at;
        return at < untilS ? at : Infinity;
      }
      // Nothing comes in what is left of the minute; what was waited so far does not count.
      this.#nowS = this.#pieceEndS;
      if (this.#nowS >= untilS) return Infinity;
      this.#pieceEndS += pieceS;
      this.#rate = rateAt(this.#load, this.#nowS + pieceS / 2);
    }
  }
}
