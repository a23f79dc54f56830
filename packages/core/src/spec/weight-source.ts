/** Element types of plain tensors. */
export type PlainWeightDType = 'F32' | 'BF16' | 'F16';

/**
 * Element types that may stand in a checkpoint. 'I8' and 'I4' are quantized matrices: weight =
 * stored integer × scale. 'I4' stands for two's-complement values plus 8, eight to a little-endian
 * 32-bit word, lowest bits first, rows padded to whole words.
 */
export type WeightDType = PlainWeightDType | 'I8' | 'I4';

/** Where a tensor's bytes are. A native backend maps the file; others call `read`. */
export interface TensorLocation {
  readonly name: string;
  readonly dtype: WeightDType;
  /** Of the matrix as the model sees it, whatever its packing. */
  readonly shape: readonly number[];
  /** Absolute path of the file. */
  readonly file: string;
  /** From the start of the file. */
  readonly byteOffset: number;
  readonly byteLength: number;
  /**
   * Exactly where dtype is 'I8' or 'I4': [rows, groups] F32, BF16 or F16, of either sign; group g
   * scales columns [g · columns / groups, …), and groups divides the columns. One group is one
   * scale per row.
   */
  readonly scales?: PlainTensorLocation;
}

/** A tensor that is not quantized. */
export interface PlainTensorLocation extends TensorLocation {
  readonly dtype: PlainWeightDType;
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
