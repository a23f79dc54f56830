/** The only source of time. Passed in, so that tests and the simulator can hold it. */
export interface Clock {
  /** Monotonic microseconds from an arbitrary start; one start for all processes of a machine. */
  nowUs(): number;
  /** Wall-clock milliseconds since 1970, for time stamps that people read. */
  wallMs(): number;
}

// `performance.now()` is the quicker call, but starts at zero in every process and thread.
const offsetUs = Number(process.hrtime.bigint()) / 1000 - performance.now() * 1000;

export const systemClock: Clock = {
  nowUs: () => performance.now() * 1000 + offsetUs,
  wallMs: () => Date.now(),
};
