/** The only source of time. Passed in, so that tests and the simulator can hold it. */
export interface Clock {
  /** Monotonic microseconds from an arbitrary start. */
  nowUs(): number;
  /** Wall-clock milliseconds since 1970, for time stamps that people read. */
  wallMs(): number;
}

export const systemClock: Clock = {
  nowUs: () => performance.now() * 1000,
  wallMs: () => Date.now(),
};
