import { readdirSync, readFileSync } from 'node:fs';

/** One `<case>.json` of `fixtures/`; the README says what each field means. */
export interface Golden {
  readonly name: string;
  readonly purpose: string;
  readonly seed: number;
  readonly config: unknown;
  readonly logitsFile: string;
  /** [rows, vocabulary]. */
  readonly logitsShape: readonly [number, number];
  readonly prompts: readonly GoldenPrompt[];
}

export interface GoldenPrompt {
  readonly promptTokens: readonly number[];
  readonly greedyTokens: readonly number[];
  readonly tokenMargins: readonly number[];
  readonly firstPosition: number;
  readonly promptRows: number;
  readonly greedyRows: number;
  readonly firstRow: number;
}

/** `dictionary.json`: one row of logits per prompt, at its last position. */
export interface DictionaryGolden {
  readonly weightsSha256: string;
  readonly logitsFile: string;
  readonly logitsShape: readonly [number, number];
  readonly prompts: readonly DictionaryPrompt[];
}

export interface DictionaryPrompt {
  readonly text: string;
  readonly messages?: readonly { readonly role: string; readonly content: string }[];
  readonly promptTokens: readonly number[];
  readonly greedyTokens: readonly number[];
  readonly tokenMargins: readonly number[];
}

const fixtures = new URL('./fixtures/', import.meta.url);

/** The cases of small random models, of every family. */
export function readGoldens(): Golden[] {
  return readdirSync(fixtures)
    .filter((file) => /^(mixtral|qwen3)-.*\.json$/.test(file))
    .map((file) => readFixture(file) as Golden);
}

/** The built-in model's 50 prompts. */
export function readDictionaryGolden(): DictionaryGolden {
  return readFixture('dictionary.json') as DictionaryGolden;
}

function readFixture(file: string): unknown {
  return JSON.parse(readFileSync(new URL(file, fixtures), 'utf8'));
}

/** Logits by row: (first row, rows) → [rows, vocabulary]. */
export function readLogits(golden: {
  readonly logitsFile: string;
  readonly logitsShape: readonly [number, number];
}): (first: number, count: number) => Float32Array {
  const bytes = readFileSync(new URL(golden.logitsFile, fixtures));
  const [rowCount, vocabulary] = golden.logitsShape;
  if (bytes.byteLength !== 4 * rowCount * vocabulary) {
    throw new Error(`${golden.logitsFile} does not hold ${String(rowCount)} rows`);
  }
  const all = Float32Array.from({ length: rowCount * vocabulary }, (_, i) =>
    bytes.readFloatLE(4 * i),
  );
  return (first, count) => all.subarray(first * vocabulary, (first + count) * vocabulary);
}
