import { PeerWait } from '../peers/peer-wait.js';

/** A sleeper may be woken this much late by the system. */
const wakingUs = 100;

/** A wait that ends on the microsecond: it sleeps until shortly before and looks without pause from then on. */
export class PunctualWait extends PeerWait {
  override sleep(seen: number, untilUs: number): void {
    if (untilUs - this.nowUs > wakingUs) super.sleep(seen, untilUs - wakingUs);
  }
}
