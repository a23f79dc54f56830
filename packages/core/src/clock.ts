/** The only source of time. Passed in, so that tests and the simulator can hold it. */
export interface Clock {
  /** Monotonic microseconds from an arbitrary start; one start for all processes of a machine. */
  nowUs(): number;
  /** Wall-clock milliseconds since 1970, for time stamps that people read. */
  wallMs(): number;
}

/**
 * `performance.now()` is the quicker call, but starts at zero in every process and thread: the
 * distance to the system's own monotonic clock, by the tightest of several readings.
 */
function offsetToSystemUs(): number {
  let tightest = Infinity;
  let offsetUs = 0;
  for (let reading = 0; reading < 16; reading += 1) {
    const before = performance.now() * 1000;
    const system = Number(process.hrtime.bigint()) / 1000;
    const after = performance.now() * 1000;
    if (after - before >= tightest) continue;
    tightest = after - before;
    offsetUs = system - (before + after) / 2;
  }
  return offsetUs;
}

const offsetUs = offsetToSystemUs();

export const systemClock: Clock = {
  nowUs: () => performance.now() * 1000 + offsetUs,
  wallMs: () => Date.now(),
};
