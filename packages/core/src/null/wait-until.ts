import { systemClock, type Clock } from '../clock.js';

/** Returns when the clock shows `us`. */
export type WaitUntil = (us: number) => void;

/** Until it is known how late the system wakes a sleeper: so late, and never more than the most, which is somebody else's work. */
const wakingUsFirst = 120;
const wakingUsMost = 1000;

/**
 * Sleeps until shortly before the time and looks at the clock from then on: other threads have the core meanwhile, so that more
 * workers than cores still overlap, and the end is on the microsecond. How long before follows how late sleepers were woken.
 */
export function sleepUntil(clock: Clock = systemClock): WaitUntil {
  const nobodyWakes = new Int32Array(new SharedArrayBuffer(4));
  let wakingUs = wakingUsFirst;
  return (us) => {
    const fromUs = clock.nowUs();
    const sleepUs = us - fromUs - wakingUs;
    if (sleepUs > 0) {
      Atomics.wait(nobodyWakes, 0, 0, sleepUs / 1000);
      const lateUs = Math.min(clock.nowUs() - fromUs - sleepUs, wakingUsMost);
      // Up at once, and down slowly: the latest of recent wakings, as it were.
      wakingUs += lateUs > wakingUs ? lateUs - wakingUs : (lateUs - wakingUs) / 32;
    }
    while (clock.nowUs() < us);
  };
}
