import { StepCostLearner } from '@megascale/scheduler';

/** How often the coordinator is told, at most. */
const reportUs = 200_000;

/** Times an expert worker's runs, and tells now and then what they take. */
export class ExpertTimer {
  readonly #report: (times: { readonly runUs: number; readonly fixedUs: number }) => void;
  readonly #cost = new StepCostLearner();
  #sumUs = 0;
  #runs = 0;
  #nextUs = 0;

  constructor(report: (times: { runUs: number; fixedUs: number }) => void) {
    this.#report = report;
  }

  /** A run of so many rows. */
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
