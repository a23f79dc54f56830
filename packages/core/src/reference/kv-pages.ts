import type { KvAppendNode } from '../graph/ops.js';
import type { KvCacheDtype, MicroBatch } from '../spec/backend.js';

/** Keys and values of one layer: two arrays [page][KV head][position in page][head size]. */
export interface KvPages {
  readonly keys: Float32Array;
  readonly values: Float32Array;
  readonly pageSize: number;
  readonly kvHeads: number;
  readonly headSize: number;
  /** 'int8' rounds what is appended as a backend with 8-bit pages does; else it is kept in f32. */
  readonly dtype: KvCacheDtype;
}

export function createKvPages(
  pageCount: number,
  size: Pick<KvPages, 'pageSize' | 'kvHeads' | 'headSize' | 'dtype'>,
): KvPages {
  const length = pageCount * size.kvHeads * size.pageSize * size.headSize;
  return { ...size, keys: new Float32Array(length), values: new Float32Array(length) };
}

/** Where the vector of (position, KV head) of a sequence starts, given its page table. */
export function kvOffset(
  pages: KvPages,
  table: Int32Array,
  position: number,
  kvHead: number,
): number {
  const page = table[Math.floor(position / pages.pageSize)] as number;
  const inPage = position % pages.pageSize;
  return ((page * pages.kvHeads + kvHead) * pages.pageSize + inPage) * pages.headSize;
}

/** Calls `visit` for every token of the batch with its sequence's page table. */
export function forEachToken(
  batch: MicroBatch,
  visit: (token: number, position: number, table: Int32Array) => void,
): void {
  for (let sequence = 0; sequence + 1 < batch.offsets.length; sequence += 1) {
    const table = batch.kvPages.subarray(
      batch.kvPageOffsets[sequence],
      batch.kvPageOffsets[sequence + 1],
    );
    const end = batch.offsets[sequence + 1] as number;
    for (let token = batch.offsets[sequence] as number; token < end; token += 1) {
      visit(token, batch.positions[token] as number, table);
    }
  }
}

/** The `kvAppend` op: k and v [T, kvHeads × headSize] into the pages of their sequences. */
export function appendKv(
  pages: KvPages,
  batch: MicroBatch,
  rows: Record<keyof Pick<KvAppendNode, 'k' | 'v'>, Float32Array>,
): void {
  const { kvHeads, headSize } = pages;
  const kept = pages.dtype === 'int8' ? roundedTo8Bits : (vector: Float32Array) => vector;
  forEachToken(batch, (token, position, table) => {
    for (let kvHead = 0; kvHead < kvHeads; kvHead += 1) {
      const start = (token * kvHeads + kvHead) * headSize;
      const offset = kvOffset(pages, table, position, kvHead);
      pages.keys.set(kept(rows.k.subarray(start, start + headSize)), offset);
      pages.values.set(kept(rows.v.subarray(start, start + headSize)), offset);
    }
  });
}

/** Every element as the nearest of 255 multiples of max |x| / 127, ties to even. */
function roundedTo8Bits(vector: Float32Array): Float32Array {
  const largest = vector.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
  if (largest === 0) return vector;
  const scale = largest / 127;
  return vector.map((x) => roundToEven(x / scale) * scale);
}

function roundToEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest === 0.5) return floor % 2 === 0 ? floor : floor + 1;
  return rest < 0.5 ? floor : floor + 1;
}
