import type { Clock } from '@megascale/core';
import { stopped } from './peer-errors.js';
import type { DoorbellWait, SharedMemory } from '../memory/shared-memory.js';
import { segmentWord } from '../protocol/wire-format.js';

/** A sleeper looks up this often, whatever happens. */
const sliceUs = 20_000;
/** Dead peers are looked for after this long without an answer, and then again at this distance. */
const lifeCheckUs = 200_000;
/**
 * The first part of a spin reads words from here: a native call takes longer to come back than most
 * answers to come.
 */
const nearSpinUs = 100;
/** Readings of the clock are dearer than looks at words. */
const looksPerClockReading = 32;

/** Whatever a wait is for. */
export interface Lookout {
  /**
   * Whether a word has changed that the waiter looks at; cheap. It may be wrong in both directions:
   * the doorbell is not.
   */
  hasNews(): boolean;
}

export interface PeerWaitOptions {
  /** 'attention rank 0': for messages. */
  readonly name: string;
  readonly memory: SharedMemory;
  /** Own segment, whose doorbell peers ring. */
  readonly words: Int32Array;
  /** Without one, the doorbell alone is looked at. */
  readonly lookout?: Lookout | undefined;
  readonly spinUs: number;
  readonly spinYields: boolean;
  readonly clock: Clock;
  readonly stopReason: () => string | undefined;
}

/**
 * One wait at a time: `begin`, then for each look at the work `seen` before it and `sleep` after
 * it. What the caller looks for between the two is never missed, because the peer that provides it
 * rings afterwards.
 */
export class PeerWait {
  #beganUs = 0;
  #askedUs = 0;
  #lifeCheckedUs = 0;
  readonly #ringWait: DoorbellWait;

  readonly #options: PeerWaitOptions;

  constructor(options: PeerWaitOptions) {
    this.#options = options;
    this.#ringWait = { seen: 0, spinUs: 0, timeoutUs: 0, spinYields: options.spinYields };
  }

  begin(): void {
    this.#beganUs = this.#options.clock.nowUs();
    this.#askedUs = this.#beganUs;
    this.#lifeCheckedUs = this.#beganUs;
  }

  get nowUs(): number {
    return this.#options.clock.nowUs();
  }

  get waitedMs(): number {
    return (this.#options.clock.nowUs() - this.#beganUs) / 1000;
  }

  /** The doorbell's count; read it before looking for work. */
  seen(): number {
    return Atomics.load(this.#options.words, segmentWord.doorbellCount);
  }

  /**
   * Until there are news, the doorbell rings, `untilUs` comes, or a slice has passed.
   *
   * @throws TransportError 'ERR_PEER_CLOSED' once `stopReason` gives one.
   */
  sleep(seen: number, untilUs: number): void {
    const { memory, words, clock, spinYields } = this.#options;
    const nowUs = clock.nowUs();
    this.#askToStop(nowUs);
    const leftUs = Math.max(0, untilUs - nowUs);
    const spinUs = this.#spinLeftUs(nowUs);
    const looks = !spinYields && memory.waitsDrive !== true;
    const nearUs = !looks ? 0 : Math.min(spinUs, leftUs, nearSpinUs);
    // Nothing but looking may stand between news and the caller: no clock, no native call.
    if (nearUs > 0 && this.#looksOut(seen, nowUs + nearUs)) return;
    this.#ringWait.seen = seen;
    this.#ringWait.spinUs = spinUs - nearUs;
    this.#ringWait.timeoutUs = Math.ceil(Math.min(sliceUs, leftUs - nearUs));
    memory.waitForRing(words, this.#ringWait);
  }

  #looksOut(seen: number, untilUs: number): boolean {
    const { words, lookout, clock } = this.#options;
    do {
      for (let look = 0; look < looksPerClockReading; look++) {
        if (lookout?.hasNews() === true) return true;
        if (Atomics.load(words, segmentWord.doorbellCount) !== seen) return true;
      }
    } while (clock.nowUs() < untilUs);
    return false;
  }

  #askToStop(nowUs: number): void {
    if (nowUs - this.#askedUs < sliceUs) return;
    this.#askedUs = nowUs;
    const reason = this.#options.stopReason();
    if (reason !== undefined) throw stopped(this.#options.name, reason);
  }

  /**
   * A spin that yields ends by the time that it took itself, which only the system knows, or with
   * the first slice.
   */
  #spinLeftUs(nowUs: number): number {
    const { spinUs, spinYields } = this.#options;
    const waitedUs = nowUs - this.#beganUs;
    if (spinYields) return waitedUs < sliceUs ? spinUs : 0;
    return Math.max(0, spinUs - waitedUs);
  }

  /** True when it is time to ask the system whether the peers are alive; starts the time anew. */
  lifeCheckIsDue(): boolean {
    const nowUs = this.#options.clock.nowUs();
    if (nowUs - this.#lifeCheckedUs < lifeCheckUs) return false;
    this.#lifeCheckedUs = nowUs;
    return true;
  }
}
