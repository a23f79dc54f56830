import { StepCostLearner } from '@megascale/scheduler';

/** Time between two reports to the coordinator, at least. */
const reportUs = 200_000;

/**
 * Learns what the runs of an expert worker take, and reports it now and then. It reads no clock.
 */
export class ExpertTimer {
  readonly #report: (times: { readonly runUs: number; readonly fixedUs: number }) => void;
  readonly #cost = new StepCostLearner();
  #sumUs = 0;
  #runs = 0;
  #nextUs = 0;

  constructor(report: (times: { runUs: number; fixedUs: number }) => void) {
    this.#report = report;
  }

  /** Notes a run of so many rows. */
  note(rows: number, startUs: number, endUs: number): void {
    this.#sumUs += endUs - startUs;
    this.#runs += 1;
    this.#cost.add({ tokens: rows, keysSeen: 0, us: endUs - startUs });
    if (endUs < this.#nextUs) return;
    this.#nextUs = endUs + reportUs;
    this.#report({
      runUs: this.#sumUs / this.#runs,
      fixedUs: this.#cost.cost?.fixedUs ?? 0,
    });
    this.#sumUs = 0;
    this.#runs = 0;
  }
}
