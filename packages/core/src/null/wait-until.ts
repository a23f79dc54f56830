import { systemClock, type Clock } from '../clock.js';

/** Returns when the clock shows `us`. */
export type WaitUntil = (us: number) => void;

/**
 * How late the system wakes a sleeping thread: the assumption before the first sleep, and the most
 * that counts, because a longer delay comes from the work of other threads.
 */
const wakingUsFirst = 120;
const wakingUsMost = 1000;

/**
 * Makes a wait that sleeps until shortly before the time and then polls the clock. Other threads
 * have the core while it sleeps, so that more workers than cores overlap; polling ends the wait on
 * the microsecond. The wait measures how late the system wakes it and sleeps so much less.
 */
export function sleepUntil(clock: Clock = systemClock): WaitUntil {
  const neverNotified = new Int32Array(new SharedArrayBuffer(4));
  let wakingUs = wakingUsFirst;
  return (us) => {
    const fromUs = clock.nowUs();
    const sleepUs = us - fromUs - wakingUs;
    if (sleepUs > 0) {
      Atomics.wait(neverNotified, 0, 0, sleepUs / 1000);
      const lateUs = Math.min(clock.nowUs() - fromUs - sleepUs, wakingUsMost);
      // The estimate rises at once and falls slowly: about the greatest of the recent delays.
      wakingUs += lateUs > wakingUs ? lateUs - wakingUs : (lateUs - wakingUs) / 32;
    }
    while (clock.nowUs() < us);
  };
}
