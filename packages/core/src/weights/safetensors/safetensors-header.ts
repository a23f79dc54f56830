import type { ConfigError } from '../../errors.js';
import { corruptFile } from '../checkpoint/checkpoint-errors.js';

/** A header longer than this is refused before it is read; the format's own limit. */
export const safetensorsHeaderBytesMax = 100_000_000;

/** One tensor as a safetensors header states it, checked against the file's size. */
export interface SafetensorsEntry {
  readonly name: string;
  /** One of the format's element types, also those this project cannot compute with. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** From the start of the file. */
  readonly byteOffset: number;
  readonly byteLength: number;
}

export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: ReadonlyMap<string, string>;
}

export interface SafetensorsSource {
  /** Named in errors. */
  readonly file: string;
  /** Size of the whole file: 8 bytes of length, the header, the data. */
  readonly fileBytes: number;
}

const bitsPerElement: ReadonlyMap<string, number> = new Map([
  ['F4', 4],
  ['F6_E2M3', 6],
  ['F6_E3M2', 6],
  ...['BOOL', 'U8', 'I8', 'F8_E5M2', 'F8_E4M3', 'F8_E8M0'].map((name) => [name, 8] as const),
  ...['U16', 'I16', 'F16', 'BF16'].map((name) => [name, 16] as const),
  ...['U32', 'I32', 'F32'].map((name) => [name, 32] as const),
  ...['U64', 'I64', 'F64', 'C64'].map((name) => [name, 64] as const),
]);

/**
 * Reads the JSON header of a safetensors file: `bytes` is the header alone, without the 8 bytes of
 * length before it. Tensors must fill the data exactly, one after the other: no gap, no overlap,
 * nothing left over.
 *
 * @throws ConfigError 'ERR_CHECKPOINT_CORRUPT' naming the file and the reason.
 */
export function parseSafetensorsHeader(
  bytes: Uint8Array,
  source: SafetensorsSource,
): SafetensorsHeader {
  const { tensors: fields, metadata } = parseJson(bytes, source);
  const dataStart = 8 + bytes.length;
  const entries = fields.map(([name, value]) => parseEntry(name, value, dataStart, source));
  requireContiguous(entries, dataStart, source);
  return { tensors: new Map(entries.map((entry) => [entry.name, entry])), metadata };
}

function parseJson(
  bytes: Uint8Array,
  { file }: SafetensorsSource,
): { tensors: [string, unknown][]; metadata: ReadonlyMap<string, string> } {
  if (bytes[0] !== 0x7b) throw corruptFile(file, 'its header does not begin with "{"');
  let text: string;
  let json: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    json = JSON.parse(text);
  } catch (cause) {
    throw corruptFile(file, 'its header is not JSON', { cause: String(cause) });
  }
  if (!isObject(json)) throw corruptFile(file, 'its header is not a JSON object');
  const duplicate = duplicateKey(text);
  if (duplicate !== undefined) throw corruptFile(file, `it names ${quote(duplicate)} twice`);
  const fields = Object.entries(json);
  const metadata = new Map<string, string>();
  for (const [key, value] of fields.filter(([name]) => name === '__metadata__')) {
    if (!isObject(value)) throw corruptFile(file, `${key} is not an object of strings`);
    for (const [name, entry] of Object.entries(value)) {
      if (typeof entry !== 'string') throw corruptFile(file, `${key} is not an object of strings`);
      metadata.set(name, entry);
    }
  }
  return { tensors: fields.filter(([name]) => name !== '__metadata__'), metadata };
}

function parseEntry(
  name: string,
  value: unknown,
  dataStart: number,
  { file }: SafetensorsSource,
): SafetensorsEntry {
  const refuse = (reason: string): ConfigError =>
    corruptFile(file, `tensor ${quote(name)} ${reason}`, { tensor: name });
  if (!isObject(value)) throw refuse('is not described by an object');
  const { dtype, shape, data_offsets: offsets } = value;
  const bits = typeof dtype === 'string' ? bitsPerElement.get(dtype) : undefined;
  if (typeof dtype !== 'string' || bits === undefined) {
    throw refuse(`has the unknown dtype ${quote(dtype)}`);
  }
  if (!isSizes(shape)) throw refuse(`has the shape ${quote(shape)}, expected a list of sizes`);
  if (!isSizes(offsets) || offsets.length !== 2) {
    throw refuse(`has data_offsets ${quote(offsets)}, expected [begin, end]`);
  }
  const [begin = 0, end = 0] = offsets;
  if (end < begin) throw refuse(`ends at ${end}, before it begins at ${begin}`);
  const bitLength = shape.reduce((product, size) => product * size, bits);
  const intermediate = shape.filter((size) => size > 0).reduce((p, size) => p * size, bits);
  if (!Number.isSafeInteger(intermediate))
    throw refuse(`has the impossible shape [${shape.join()}]`);
  if (bitLength % 8 !== 0 || bitLength / 8 !== end - begin) {
    throw refuse(
      `has ${end - begin} bytes, but ${dtype} of shape [${shape.join()}] takes ${bitLength / 8}`,
    );
  }
  return { name, dtype, shape, byteOffset: dataStart + begin, byteLength: end - begin };
}

function requireContiguous(
  entries: readonly SafetensorsEntry[],
  dataStart: number,
  { file, fileBytes }: SafetensorsSource,
): void {
  const ordered = entries.toSorted(
    (a, b) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength,
  );
  let end = dataStart;
  for (const { name, byteOffset, byteLength } of ordered) {
    if (byteOffset !== end) {
      const what = byteOffset < end ? 'overlaps the tensor before it' : 'leaves a gap before it';
      throw corruptFile(file, `tensor ${quote(name)} ${what}`, { tensor: name });
    }
    end = byteOffset + byteLength;
  }
  if (end > fileBytes) {
    const missing = end - fileBytes;
    throw corruptFile(
      file,
      `it is truncated: ${missing} bytes are missing of ${end} (it has ${fileBytes})`,
      { missingBytes: missing },
    );
  }
  if (end < fileBytes) {
    throw corruptFile(file, `its last ${fileBytes - end} bytes belong to no tensor`);
  }
}

/**
 * The first key that valid JSON text of an object states twice at its top level: `JSON.parse` keeps
 * only the last.
 */
function duplicateKey(text: string): string | undefined {
  const seen = new Set<string>();
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '{' || character === '[') depth++;
    else if (character === '}' || character === ']') depth--;
    else if (character === '"') {
      const end = stringEnd(text, at);
      if (depth === 1 && /^\s*:/.test(text.slice(end + 1, end + 32))) {
        const key = JSON.parse(text.slice(at, end + 1)) as string;
        if (seen.has(key)) return key;
        seen.add(key);
      }
      at = end;
    }
  }
  return undefined;
}

/** Index of the quote that closes the string opened at `start`. */
function stringEnd(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is readonly number[] {
  return (
    Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && Number(size) >= 0)
  );
}

/** A piece of a hostile header, short enough for a message. */
function quote(value: unknown): string {
  const text = JSON.stringify(value) as string | undefined;
  return text === undefined ? 'nothing' : text.length > 120 ? `${text.slice(0, 117)}...` : text;
}
