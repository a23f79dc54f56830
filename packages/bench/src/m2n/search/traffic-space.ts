import type { Traffic } from '../traffic.js';
import type { Point, Space } from './space.js';

/** Longer than any wait of a measurement: it never sleeps. */
export const spinsAlways = 1_000_000;

const memoryBytesMax = 2 ** 29;

/** The traffic that a search may choose from. */
export function trafficSpace(transports: readonly string[]): Space {
  return {
    dimensions: [
      { name: 'transport', levels: transports, isOrdered: false },
      { name: 'senders', levels: [1, 2, 4], isOrdered: true },
      { name: 'receivers', levels: [1, 2, 4], isOrdered: true },
      {
        name: 'bytes',
        levels: [256, 2 ** 11, 2 ** 14, 2 ** 16, 2 ** 18, 2 ** 20, 2 ** 22],
        isOrdered: true,
      },
      { name: 'skew', levels: [false, true], isOrdered: false },
      { name: 'slots', levels: [1, 2, 4, 8, 16], isOrdered: true },
      { name: 'bothDirections', levels: [false, true], isOrdered: false },
      { name: 'spinUs', levels: [0, 50, spinsAlways], isOrdered: true },
    ],
    allows: (point) => memoryOf(trafficAt(point)) <= memoryBytesMax,
  };
}

/** Rows and answers in all slots. */
function memoryOf({ senders, receivers, bytes, slots = 1 }: Traffic): number {
  return 2 * senders * receivers * bytes * slots;
}

export function trafficAt(point: Point): Traffic {
  return {
    transport: String(point['transport']),
    senders: Number(point['senders']),
    receivers: Number(point['receivers']),
    bytes: Number(point['bytes']),
    skew: point['skew'] === true,
    slots: Number(point['slots']),
    bothDirections: point['bothDirections'] === true,
    spinUs: Number(point['spinUs']),
  };
}
