import { BackendError } from '../errors.js';
import type { GraphNode, Value, WeightRef } from '../graph/ops.js';
import type { MicroBatch } from '../spec/backend.js';
import * as blocks from './blocks.js';
import { appendKv, forEachToken, kvOffset, type KvPages } from './kv-pages.js';
import type { F32Weights } from './read-weights.js';

/** What a node computes with. `values` grows node by node. */
export interface Interpretation {
  readonly batch: MicroBatch;
  readonly weights: F32Weights;
  /** The pages of each `kvAppend` and `pagedAttention` node. */
  readonly kvPages: ReadonlyMap<GraphNode, KvPages>;
  /** Contents of each value, row-major in its shape. */
  readonly values: Map<Value, Float32Array>;
}

/**
 * Computes one node of the attention stage. The router and the experts stand at the border of the
 * stages and are not met here.
 */
export function interpret(node: GraphNode, on: Interpretation): void {
  const read = (value: Value): Float32Array => valueOf(on, value);
  const weight = (ref: WeightRef): Float32Array => weightOf(on.weights, ref);
  const write = (value: Value, contents: Float32Array): void => {
    on.values.set(value, contents);
  };
  switch (node.op) {
    case 'embed':
      write(node.out, blocks.embed(on.batch.tokenIds, weight(node.table), widthOf(node.out)));
      return;
    case 'rmsNorm':
    case 'qkNorm':
      // A head's norm is a row's norm: its weight is as wide as a head.
      write(node.out, blocks.rmsNorm(read(node.x), weight(node.weight), node.epsilon));
      return;
    case 'linear': {
      const bias = node.bias === undefined ? undefined : weight(node.bias);
      write(node.out, blocks.linear(read(node.x), weight(node.weight), widthOf(node.x), bias));
      return;
    }
    case 'rope':
      write(node.out, blocks.rope(read(node.x), on.batch.positions, node));
      return;
    case 'kvAppend':
      appendKv(pagesOf(on, node), on.batch, { k: read(node.k), v: read(node.v) });
      return;
    case 'pagedAttention':
      write(node.out, pagedAttention(node, on));
      return;
    case 'addTo':
      blocks.addTo(read(node.into), read(node.x));
      return;
    case 'swiglu':
      write(node.out, blocks.swiglu(read(node.gate), read(node.up)));
      return;
    case 'lmHead': {
      const rows = pickRows(read(node.x), on.batch.logitsRows, widthOf(node.x));
      write(node.out, blocks.linear(rows, weight(node.weight), widthOf(node.x)));
      return;
    }
    case 'router':
    case 'experts':
      throw missing(`op ${node.op} has no place inside the attention stage`);
  }
}

/** q [T, heads × D] over the pages of each token's sequence → [T, heads × D]. */
function pagedAttention(
  node: Extract<GraphNode, { op: 'pagedAttention' }>,
  on: Interpretation,
): Float32Array {
  const { heads, kvHeads, headSize, scale, window = Infinity } = node;
  const q = valueOf(on, node.q);
  const pages = pagesOf(on, node);
  const out = new Float32Array(q.length);
  forEachToken(on.batch, (token, last, table) => {
    const first = Math.max(0, last - window + 1);
    for (let head = 0; head < heads; head += 1) {
      const kvHead = Math.floor(head / (heads / kvHeads));
      const offsetOf = (position: number): number => kvOffset(pages, table, position, kvHead);
      const seen = { keys: pages.keys, values: pages.values, offsetOf, first, last };
      const start = (token * heads + head) * headSize;
      blocks.attendHead(q, seen, { start, headSize, scale }, out);
    }
  });
  return out;
}

/** x [T, width], rows [R] → [R, width]. */
function pickRows(x: Float32Array, rows: Int32Array, width: number): Float32Array {
  const out = new Float32Array(rows.length * width);
  rows.forEach((row, r) => {
    out.set(x.subarray(row * width, (row + 1) * width), r * width);
  });
  return out;
}

export function widthOf(value: Value): number {
  const width = value.shape[1];
  if (typeof width !== 'number') throw missing(`value ${value.name} has no fixed width`);
  return width;
}

export function valueOf(
  on: { readonly values: ReadonlyMap<Value, Float32Array> },
  value: Value,
): Float32Array {
  const contents = on.values.get(value);
  if (contents === undefined) throw missing(`value ${value.name} is read before it is computed`);
  return contents;
}

export function weightOf(weights: F32Weights, ref: WeightRef): Float32Array {
  const contents = weights.get(ref.name);
  if (contents === undefined) throw missing(`weight ${ref.name} was not loaded`);
  return contents;
}

function pagesOf(on: Interpretation, node: GraphNode): KvPages {
  const pages = on.kvPages.get(node);
  if (pages === undefined) throw missing(`op ${node.op} has no KV pages`);
  return pages;
}

function missing(what: string): BackendError {
  return new BackendError('ERR_SHAPE', { message: `Cannot run this program: ${what}.` });
}
