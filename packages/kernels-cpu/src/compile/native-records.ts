/**
 * What the compiled attention program is made of where it crosses to C++: enumerations and records
 * of numbers. This file is the only place that lists them. native/program/records.hpp is generated
 * from it (native-records-header.ts), and a test holds the two equal.
 */

/** Numbers of the ops. */
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

/**
 * Where a value lives. `scratch`: only the op list that writes it reads it, and memory is shared.
 * `state`: it lives from one op list to another, once per micro-batch. `message`: `hidden` of the
 * slot.
 */
export const valueKinds = { scratch: 0, state: 1, message: 2 } as const;

/** The C++ type of a field. Each field crosses as one double. */
export type FieldType = 'OpCode' | 'ValueKind' | 'int' | 'size' | 'float' | 'double' | 'bool';

export interface RecordField {
  readonly type: FieldType;
  /** What the field means, for the readers of both languages. */
  readonly note: string;
  /** The value of a record that leaves the field out. A field without one is required. */
  readonly initial?: number;
}

/** The fields of a record, in the order in which they cross. */
export type RecordFields = Readonly<Record<string, RecordField>>;

/** One op. The code tells which fields count; the others keep their initial values. */
export const opFields = {
  code: { type: 'OpCode', note: 'which op' },
  x: { type: 'int', initial: -1, note: 'value read; kvAppend: the keys; −1: none' },
  y: { type: 'int', initial: -1, note: 'second value read; addTo: the value written' },
  out: { type: 'int', initial: -1, note: 'value written' },
  weight: { type: 'int', initial: -1, note: 'matrix; rmsNorm: vector; embed: embedding table' },
  bias: { type: 'int', initial: -1, note: 'vector' },
  table: { type: 'int', initial: -1, note: 'rotary table or KV cache' },
  heads: { type: 'size', initial: 1, note: 'heads; rmsNorm: vectors per row' },
  experts: { type: 'size', initial: 0, note: 'experts of the router' },
  topK: { type: 'size', initial: 0, note: 'experts that the router chooses per token' },
  window: { type: 'size', initial: 0, note: 'positions that a token sees; 0: all' },
  epsilon: { type: 'float', initial: 0, note: 'of the norm' },
  scale: { type: 'float', initial: 1, note: 'of the attention scores or of the routes' },
  sigmoid: { type: 'bool', initial: 0, note: 'router scores by sigmoid, else softmax' },
  renormalize: { type: 'bool', initial: 0, note: 'the weights of a token add up to 1' },
} as const satisfies RecordFields;

/** One value of the program. */
export const valueFields = {
  kind: { type: 'ValueKind', note: 'where it lives' },
  isFloat: { type: 'bool', note: 'f32, else bf16' },
  width: { type: 'size', note: 'elements per token' },
  buffer: { type: 'size', note: 'which scratch or state buffer' },
} as const satisfies RecordFields;

/** Sines and cosines of the positions, for one head size and base. */
export const rotaryTableFields = {
  headSize: { type: 'size', note: 'elements of a head' },
  theta: { type: 'double', note: 'base of the angles' },
} as const satisfies RecordFields;

/** The shape of the KV cache of one layer. */
export const kvCacheFields = {
  kvHeads: { type: 'size', note: 'KV heads of the layer' },
  headSize: { type: 'size', note: 'elements of a head' },
} as const satisfies RecordFields;

type FieldValue<Type extends FieldType> = Type extends 'OpCode'
  ? keyof typeof opCodes
  : Type extends 'ValueKind'
    ? keyof typeof valueKinds
    : Type extends 'bool'
      ? boolean
      : number;

type RequiredNames<Fields extends RecordFields> = {
  [Name in keyof Fields]: Fields[Name] extends { readonly initial: number } ? never : Name;
}[keyof Fields];

/** A record as TypeScript writes it: every field by name. */
export type NativeRecord<Fields extends RecordFields> = {
  readonly [Name in RequiredNames<Fields>]: FieldValue<Fields[Name]['type']>;
} & {
  readonly [Name in Exclude<keyof Fields, RequiredNames<Fields>>]?:
    FieldValue<Fields[Name]['type']> | undefined;
};

export type NativeOp = NativeRecord<typeof opFields>;
export type NativeValue = NativeRecord<typeof valueFields>;
export type NativeRotaryTable = NativeRecord<typeof rotaryTableFields>;
export type NativeKvCache = NativeRecord<typeof kvCacheFields>;

/** The records one after the other, one number per field. */
export function encodeRecords<const Fields extends RecordFields>(
  fields: Fields,
  records: readonly NativeRecord<Fields>[],
): Float64Array {
  const entries = Object.entries<RecordField>(fields);
  return Float64Array.from(
    records.flatMap((record) => {
      const values = record as Readonly<Record<string, number | boolean | string | undefined>>;
      return entries.map(([name, field]) => encodeField(field, values[name]));
    }),
  );
}

function encodeField(
  { type, initial }: RecordField,
  value: number | boolean | string | undefined,
): number {
  const numbers: Readonly<Record<string, number>> =
    type === 'OpCode' ? opCodes : type === 'ValueKind' ? valueKinds : {};
  return typeof value === 'string' ? Number(numbers[value]) : Number(value ?? initial);
}
