import type { KvAppendNode } from '../graph/ops.js';
import type { MicroBatch } from '../spec/backend.js';

/** Keys and values of one layer: two arrays [page][KV head][position in page][head size]. */
export interface KvPages {
  readonly keys: Float32Array;
  readonly values: Float32Array;
  readonly pageSize: number;
  readonly kvHeads: number;
  readonly headSize: number;
}

export function createKvPages(
  pageCount: number,
  size: Pick<KvPages, 'pageSize' | 'kvHeads' | 'headSize'>,
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
  forEachToken(batch, (token, position, table) => {
    for (let kvHead = 0; kvHead < kvHeads; kvHead += 1) {
      const start = (token * kvHeads + kvHead) * headSize;
      const offset = kvOffset(pages, table, position, kvHead);
      pages.keys.set(rows.k.subarray(start, start + headSize), offset);
      pages.values.set(rows.v.subarray(start, start + headSize), offset);
    }
  });
}
