import type { RandomStream } from '../random-stream.js';
import type { FleetInstance } from './fleet-instance.js';
import type { FleetFaults } from './fleet-run.js';

/**
 * When something happens to which instance: the next of each kind for the whole fleet, of which
 * every instance has an equal part.
 */
export class FleetFaultTimes {
  #failureS: number;
  #stragglerS: number;
  /** Stragglers under way, by when they end. */
  readonly #ending: { readonly atS: number; readonly instance: FleetInstance }[] = [];

  readonly #faults: FleetFaults;
  readonly #instances: readonly FleetInstance[];
  readonly #random: RandomStream;

  constructor(faults: FleetFaults = {}, instances: readonly FleetInstance[], random: RandomStream) {
    this.#faults = faults;
    this.#instances = instances;
    this.#random = random;

    this.#failureS = this.#gapS(faults.failures?.meanHoursBetween);
    this.#stragglerS = this.#gapS(faults.stragglers?.meanHoursBetween);
  }

  upTo(atS: number): void {
    const { failures, stragglers } = this.#faults;
    for (;;) {
      const endS = this.#ending[0]?.atS ?? Infinity;
      const nextS = Math.min(this.#failureS, this.#stragglerS, endS);
      if (nextS > atS) return;
      if (nextS === endS) {
        this.#ending.shift()?.instance.slowDown(nextS, 1);
      } else if (nextS === this.#failureS && failures !== undefined) {
        this.#any().fail(nextS, failures.recoveryS);
        this.#failureS += this.#gapS(failures.meanHoursBetween);
      } else if (stragglers !== undefined) {
        const instance = this.#any();
        if (instance.slowness === 1) {
          instance.slowDown(nextS, stragglers.factor);
          this.#ending.push({ atS: nextS + stragglers.forS, instance });
        }
        this.#stragglerS += this.#gapS(stragglers.meanHoursBetween);
      }
    }
  }

  #gapS(meanHours: number | undefined): number {
    if (meanHours === undefined) return Infinity;
    return (this.#random.exponential() * meanHours * 3600) / this.#instances.length;
  }

  #any(): FleetInstance {
    const index = Math.floor(this.#random.fraction() * this.#instances.length);
    return this.#instances[index] as FleetInstance;
  }
}
