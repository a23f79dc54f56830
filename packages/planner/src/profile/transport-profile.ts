import { fitNonNegative } from './fit-non-negative.js';

/**
 * A transport as it was measured: `alphaUs + bytes / bytesPerUs`, and what it reached at each size.
 */
export interface TransportProfile {
  readonly name: string;
  readonly alphaUs: number;
  readonly bytesPerUs: number;
  readonly points: readonly TransportPoint[];
}

export interface TransportPoint {
  readonly bytes: number;
  /** One way, one message at a time. */
  readonly latencyUs: number;
  /** Util(size): bytes / latency over the rate that the largest messages reach. */
  readonly utilization: number;
}

/** @throws RangeError without points. */
export function fitTransport(
  name: string,
  measured: readonly { readonly bytes: number; readonly latencyUs: number }[],
): TransportProfile {
  const samples = measured.map(({ bytes, latencyUs: us }) => ({ features: [1, bytes], us }));
  const [alphaUs = 0, usPerByte = 0] = fitNonNegative(samples);
  const rate = Math.max(...measured.map(({ bytes, latencyUs }) => bytes / latencyUs));
  const bytesPerUs = usPerByte > 0 ? 1 / usPerByte : rate;
  return {
    name,
    alphaUs,
    bytesPerUs,
    points: [...measured]
      .sort((a, b) => a.bytes - b.bytes)
      .map(({ bytes, latencyUs }) => ({ bytes, latencyUs, utilization: bytes / latencyUs / rate })),
  };
}

/**
 * Between the sizes that were measured, on the line between them; beyond the largest, at its rate;
 * below the least, its latency.
 */
export function transferUs({ points, bytesPerUs }: TransportProfile, bytes: number): number {
  const next = points.findIndex((point) => point.bytes >= bytes);
  const above = points[next];
  const below = points[next - 1];
  if (above !== undefined && below === undefined) return above.latencyUs;
  if (above !== undefined && below !== undefined) {
    const share = (bytes - below.bytes) / (above.bytes - below.bytes);
    return below.latencyUs + share * (above.latencyUs - below.latencyUs);
  }
  const last = points.at(-1);
  if (last === undefined) return bytes / bytesPerUs;
  return (last.latencyUs * bytes) / last.bytes;
}
