import type { GraphNode, PagedAttentionNode, Value, WeightRef } from '@megascale/core';
import { refuse } from '../binding/native-error.js';
import type { NativeKvCache, NativeOp, NativeRotaryTable } from './native-records.js';
import { widthOf, type ValuePlan } from './plan-values.js';

/** Every multiply takes bf16; an f32 value would need a rounding that the graph does not state. */
export function requireActivation(op: string, ...values: readonly Value[]): void {
  for (const value of values) {
    if (value.dtype === 'activation') continue;
    refuse(
      `Op ${op} reads ${value.name} of type ${value.dtype}; on the cpu backend it needs an ` +
        'activation.',
    );
  }
}

/** Weights by number; one that is used twice is packed once. */
class WeightNumbers {
  readonly refs: WeightRef[] = [];
  readonly #numbers = new Map<string, number>();

  of(ref: WeightRef): number {
    const known = this.#numbers.get(ref.name);
    if (known !== undefined) return known;
    const number = this.refs.push(ref) - 1;
    this.#numbers.set(ref.name, number);
    return number;
  }
}

/**
 * Translates the nodes of a program one by one, and numbers the weights and tables that they use.
 */
export class OpCompiler {
  readonly matrices = new WeightNumbers();
  readonly vectors = new WeightNumbers();
  readonly tables = new WeightNumbers();
  readonly rotaryTables: NativeRotaryTable[] = [];
  readonly kvCaches: NativeKvCache[] = [];
  readonly #values: ValuePlan;

  constructor(values: ValuePlan) {
    this.#values = values;
  }

  /** `rest` is what follows the node in its list. */
  op(node: GraphNode, rest: readonly GraphNode[]): NativeOp {
    const number = this.#values.numberOf;
    switch (node.op) {
      case 'embed':
        return { code: 'embed', out: number(node.out), weight: this.tables.of(node.table) };
      case 'rmsNorm':
        return this.#norm(node, 1);
      case 'qkNorm':
        return this.#norm(node, widthOf(node.x) / node.headSize);
      case 'linear':
        requireActivation(node.op, node.x);
        return {
          code: 'linear',
          x: number(node.x),
          out: number(node.out),
          weight: this.matrices.of(node.weight),
          bias: node.bias && this.vectors.of(node.bias),
        };
      case 'rope':
        return this.#rope(node);
      case 'kvAppend':
        return this.#kvAppend(node, rest);
      case 'pagedAttention':
        return this.#pagedAttention(node);
      case 'addTo':
        requireActivation(node.op, node.x);
        return { code: 'addTo', x: number(node.x), y: number(node.into) };
      case 'swiglu':
        requireActivation(node.op, node.gate, node.up);
        return {
          code: 'siluMultiply',
          x: number(node.gate),
          y: number(node.up),
          out: number(node.out),
        };
      case 'router':
        return this.#router(node);
      case 'lmHead':
        requireActivation(node.op, node.x);
        return { code: 'lmHead', x: number(node.x), weight: this.matrices.of(node.weight) };
      case 'experts':
        return refuse(
          'Op experts does not belong to the attention stage. Partition the model first.',
        );
    }
  }

  #norm(node: Extract<GraphNode, { op: 'rmsNorm' | 'qkNorm' }>, heads: number): NativeOp {
    const { numberOf } = this.#values;
    return {
      code: 'rmsNorm',
      x: numberOf(node.x),
      out: numberOf(node.out),
      weight: this.vectors.of(node.weight),
      heads,
      epsilon: node.epsilon,
    };
  }

  #rope(node: Extract<GraphNode, { op: 'rope' }>): NativeOp {
    requireActivation(node.op, node.x);
    const { headSize, theta } = node;
    const known = this.rotaryTables.findIndex(
      (table) => table.headSize === headSize && table.theta === theta,
    );
    return {
      code: 'rope',
      x: this.#values.numberOf(node.x),
      out: this.#values.numberOf(node.out),
      table: known >= 0 ? known : this.rotaryTables.push({ headSize, theta }) - 1,
      heads: widthOf(node.x) / headSize,
    };
  }

  /** Every append has a cache of its own; the attention after it tells the head size. */
  #kvAppend(node: Extract<GraphNode, { op: 'kvAppend' }>, rest: readonly GraphNode[]): NativeOp {
    requireActivation(node.op, node.k, node.v);
    const reader = rest.find((later): later is PagedAttentionNode => later.op === 'pagedAttention');
    if (reader === undefined) return refuse('Op kvAppend has no pagedAttention after it.');
    const { kvHeads, headSize } = reader;
    return {
      code: 'kvAppend',
      x: this.#values.numberOf(node.k),
      y: this.#values.numberOf(node.v),
      table: this.kvCaches.push({ kvHeads, headSize }) - 1,
    };
  }

  #pagedAttention(node: PagedAttentionNode): NativeOp {
    requireActivation(node.op, node.q);
    const { heads, kvHeads, headSize, scale, window = 0 } = node;
    const cache = this.kvCaches.at(-1);
    if (cache?.kvHeads !== kvHeads || cache.headSize !== headSize || headSize % 2 !== 0) {
      refuse(
        `Op pagedAttention (${kvHeads} KV heads of ${headSize}) does not fit the kvAppend ` +
          'before it.',
      );
    }
    return {
      code: 'pagedAttention',
      x: this.#values.numberOf(node.q),
      out: this.#values.numberOf(node.out),
      table: this.kvCaches.length - 1,
      heads,
      window,
      scale,
    };
  }

  #router(node: Extract<GraphNode, { op: 'router' }>): NativeOp {
    requireActivation(node.op, node.x);
    const { experts, topK, scale, renormalize } = node;
    return {
      code: 'router',
      x: this.#values.numberOf(node.x),
      weight: this.matrices.of(node.weight),
      experts,
      topK,
      scale,
      sigmoid: node.score === 'sigmoid',
      renormalize,
    };
  }
}
