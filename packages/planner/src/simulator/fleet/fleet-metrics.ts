import { QuantileSketch } from '../quantile-sketch.js';

/** What all instances of a fleet add to. */
export class FleetMetrics {
  readonly ttftMs = new QuantileSketch();
  readonly tpotMs = new QuantileSketch();
  finished = 0;
  refused = 0;
  outputTokens = 0;
  /** Seconds in which an instance had something to do, over all instances. */
  busyS = 0;
  /** Seconds in which an instance was down, over all instances. */
  downS = 0;
  failures = 0;
  recomputedTokens = 0;
  /** Prefills done, requests finished, arrivals, and changes of instances. */
  events = 0;
}
