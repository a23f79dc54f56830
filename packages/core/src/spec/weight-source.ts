/** Element types that may stand in a checkpoint. */
export type WeightDType = 'F32' | 'BF16' | 'F16';

/** Where a tensor's bytes are. A native backend maps the file; others call `read`. */
export interface TensorLocation {
  readonly name: string;
  readonly dtype: WeightDType;
  readonly shape: readonly number[];
  /** Absolute path of the file. */
  readonly file: string;
  /** From the start of the file. */
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** Random access to a checkpoint's tensors. Nothing is read until asked for. */
export interface WeightSource {
  /** Every tensor of the checkpoint, by name. */
  readonly tensors: ReadonlyMap<string, TensorLocation>;
  /**
   * Throws ConfigError 'ERR_WEIGHT_MISSING' (naming near matches) or 'ERR_WEIGHT_SHAPE' when the
   * tensor is absent or its shape differs from `shape`.
   */
  locate(name: string, shape: readonly number[]): TensorLocation;
  /** The tensor's bytes, little-endian, as stored: a copy that the caller owns. */
  read(location: TensorLocation): Uint8Array;
}
