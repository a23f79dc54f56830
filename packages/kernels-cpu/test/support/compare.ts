import type { Backend, ModelGraph, Region, WeightSource } from '@megascale/core';
import { openColocated, type Colocated, type ColocatedOptions } from '@megascale/core/testing';
import { expect } from 'vitest';

/** The region's elements as numbers, a copy. */
export function readBf16(region: Region): Float32Array {
  const bytes = hostBytes(region);
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  return new Float32Array(Uint32Array.from(halves, (bits) => bits << 16).buffer);
}

export function readF32(region: Region): Float32Array {
  const bytes = hostBytes(region);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4).slice();
}

export function readI32(region: Region): Int32Array {
  const bytes = hostBytes(region);
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4).slice();
}

export function hostBytes(region: Region): Uint8Array {
  if (region.bytes === undefined) throw new TypeError('The region is not in host memory.');
  return region.bytes;
}

/** max |found − expected| / max |expected|; NaN where a NaN was found. */
export function distance(found: Float32Array, expected: Float32Array): number {
  expect(found.length).toBe(expected.length);
  const largest = expected.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  const furthest = expected.reduce(
    (max, value, i) => Math.max(max, Math.abs(value - (found[i] ?? NaN))),
    0,
  );
  return furthest / largest;
}

/** Fails at the first element that differs in a bit. */
export function expectSameBits(found: Float32Array, expected: Float32Array, what: string): void {
  expect(found.length, what).toBe(expected.length);
  const [a, b] = [found, expected].map((numbers) => new Uint32Array(numbers.slice().buffer));
  expect(
    a?.findIndex((bits, i) => bits !== b?.[i]),
    `${what}: first element that differs`,
  ).toBe(-1);
}

export function open(
  backend: Backend,
  model: ModelGraph,
  weights: WeightSource,
  options: Partial<ColocatedOptions> = {},
): Promise<Colocated> {
  return openColocated({ backend, model, weights, ...options });
}
