import type { Clock } from '@megascale/core';
import { fitTransport, type TransportProfile } from '@megascale/planner';
import { measurePoint } from '../m2n/measure.js';

/** One sender, one receiver: from what a small micro-batch sends to what a large one does. */
const sizes = [2, 8, 32, 128, 512, 2048].map((kibibytes) => kibibytes * 1024);
/** Of a full measurement of `bench m2n`. */
const effort = 0.1;

/**
 * What the transport takes one way at several sizes, one message at a time, from process to
 * process.
 */
export async function measureTransport(
  name: string,
  options: { readonly clock: Clock; readonly signal?: AbortSignal },
): Promise<TransportProfile> {
  const points: { bytes: number; latencyUs: number }[] = [];
  for (const bytes of sizes) {
    const { latencyUs } = await measurePoint(
      { transport: name, senders: 1, receivers: 1, bytes, bothDirections: false, effort },
      options,
    );
    points.push({ bytes, latencyUs: latencyUs.p50 });
  }
  return fitTransport(name, points);
}
