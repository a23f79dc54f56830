import { describe, expect, it } from 'vitest';
import { toF32 } from '../../../../src/weights/safetensors/to-f32.js';

describe('toF32', () => {
  it('reads f32 from bytes that are not aligned', () => {
    const bytes = new Uint8Array(9);
    new DataView(bytes.buffer).setFloat32(1, 1.5, true);
    new DataView(bytes.buffer).setFloat32(5, -2, true);
    expect(toF32(bytes.subarray(1), 'F32')).toEqual(Float32Array.of(1.5, -2));
  });

  it.each([
    [0x0000, 0],
    [0x3f80, 1],
    [0xc020, -2.5],
    [0x7f80, Infinity],
    [0x0001, 2 ** -133],
  ])('bf16 %i is %d', (bits, value) => {
    expect(toF32(Uint8Array.of(bits & 255, bits >> 8), 'BF16')[0]).toBe(value);
  });

  it.each([
    [0x0000, 0],
    [0x3c00, 1],
    [0xc100, -2.5],
    [0x7bff, 65504],
    [0x0001, 2 ** -24],
    [0x83ff, -1023 * 2 ** -24],
    [0xfc00, -Infinity],
  ])('f16 %i is %d', (bits, value) => {
    expect(toF32(Uint8Array.of(bits & 255, bits >> 8), 'F16')[0]).toBe(value);
  });

  it('keeps what is not a number', () => {
    expect(toF32(Uint8Array.of(1, 0x7c), 'F16')[0]).toBeNaN();
    expect(toF32(Uint8Array.of(0xc0, 0x7f), 'BF16')[0]).toBeNaN();
  });
});
