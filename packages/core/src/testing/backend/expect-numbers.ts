import { inspect } from 'node:util';
import { expect } from 'vitest';
import { MegascaleError } from '../../errors.js';

/** Fails unless both hold the same f32 numbers to the last bit. */
export function expectSameBits(found: Float32Array, expected: Float32Array, what: string): void {
  expect(found.length, `${what}: length`).toBe(expected.length);
  const [a, b] = [bitsOf(found), bitsOf(expected)];
  const different = a.findIndex((bits, i) => bits !== b[i]);
  const at = different < 0 ? '' : `: ${found[different]} for ${expected[different]}`;
  expect(different, `${what}: first different element${at}`).toBe(-1);
}

/** Fails unless max |found − expected| ≤ bound · max |expected|. */
export function expectWithin(
  found: Float32Array,
  expected: Float32Array,
  bound: number,
  what: string,
): void {
  expect(found.length, `${what}: length`).toBe(expected.length);
  const largest = expected.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  // Math.max keeps a NaN once it met one, and NaN fails the comparison below.
  const distance = expected.reduce(
    (max, value, i) => Math.max(max, Math.abs(value - (found[i] as number))),
    0,
  );
  expect(distance / largest, `${what}: largest difference over largest value`).toBeLessThanOrEqual(
    bound,
  );
}

/** Fails unless `action` throws a MegascaleError with this code. */
export function expectThrows(code: string, what: string, action: () => unknown): void {
  let thrown: unknown;
  try {
    action();
  } catch (error) {
    thrown = error;
  }
  expect(codeOf(thrown), what).toBe(code);
}

/** Fails unless `promise` rejects with a MegascaleError with this code. */
export async function expectRejects(
  code: string,
  what: string,
  promise: Promise<unknown>,
): Promise<void> {
  const settled = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(codeOf(settled), what).toBe(code);
}

function codeOf(error: unknown): string {
  if (error === undefined) return 'nothing thrown';
  return MegascaleError.isInstance(error) ? error.code : inspect(error);
}

function bitsOf(numbers: Float32Array): Uint32Array {
  return new Uint32Array(numbers.slice().buffer);
}
