/** Element types of activations and messages. */
export type DType = 'f32' | 'bf16' | 'f16' | 'i32';
export type MemoryKind = 'host' | 'cuda';

export const bytesPerElement: Readonly<Record<DType, number>> = { f32: 4, bf16: 2, f16: 2, i32: 4 };

/**
 * Bytes allocated once at start-up and reused until their owner closes. Native code owns the
 * memory; JavaScript holds a view, which must not be used after the owner closed.
 */
export interface Region {
  readonly memory: MemoryKind;
  readonly byteLength: number;
  /** A view, never a copy. Absent where the host cannot read the memory. */
  readonly bytes?: Uint8Array;
}
