/** Numbers of native/program/program.hpp. A test runs every op, so a difference cannot hide. */
export const opCodes = {
  embed: 1,
  rmsNorm: 2,
  linear: 3,
  rope: 4,
  kvAppend: 5,
  pagedAttention: 6,
  addTo: 7,
  siluMultiply: 8,
  router: 9,
  lmHead: 10,
} as const;

export const valueKinds = { scratch: 0, state: 1, message: 2 } as const;
export type ValueKind = keyof typeof valueKinds;

/** One op as native code reads it. Fields that an op does not use keep their defaults. */
export interface NativeOp {
  readonly code: keyof typeof opCodes;
  /** Value numbers. addTo writes y; kvAppend reads x (keys) and y (values). */
  readonly x?: number;
  readonly y?: number;
  readonly out?: number;
  /** Matrix, vector (rmsNorm) or embedding table (embed). */
  readonly weight?: number;
  readonly bias?: number;
  /** Rotary table or KV cache. */
  readonly table?: number;
  /** Heads; for rmsNorm the vectors that make up a row. */
  readonly heads?: number;
  readonly experts?: number;
  readonly topK?: number;
  /** 0 = every position is seen. */
  readonly window?: number;
  readonly epsilon?: number;
  readonly scale?: number;
  readonly sigmoid?: boolean;
  readonly renormalize?: boolean;
}

/** Numbers per op. */
export const opFields = 14;

/** Ops one after the other, `opFields` numbers each. */
export function encodeOps(ops: readonly NativeOp[]): Float64Array {
  return Float64Array.from(ops.flatMap(encodeOp));
}

function encodeOp(op: NativeOp): number[] {
  const none = -1;
  return [
    opCodes[op.code],
    op.x ?? none,
    op.y ?? none,
    op.out ?? none,
    op.weight ?? none,
    op.bias ?? none,
    op.table ?? none,
    op.heads ?? 1,
    op.experts ?? 0,
    op.topK ?? 0,
    op.window ?? 0,
    op.epsilon ?? 0,
    op.scale ?? 1,
    (op.sigmoid === true ? 1 : 0) + (op.renormalize === true ? 2 : 0),
  ];
}
