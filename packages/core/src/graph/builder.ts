import { BackendError } from '../errors.js';
import type {
  Dim,
  ExpertWeights,
  Graph,
  GraphNode,
  Routes,
  Value,
  ValueDType,
  WeightRef,
} from './ops.js';

/** The tensor name of a weight, without its shape: the builder adds the shape the op needs. */
export type WeightName = string;

/**
 * Builds one graph, op by op, and refuses ill-shaped ones with both shapes in the message
 * (BackendError 'ERR_SHAPE'). Values are created by ops; a value of another graph is refused too,
 * except the residual, which all graphs of a model share.
 */
export class GraphBuilder {
  readonly #nodes: GraphNode[] = [];
  readonly #values = new Set<Value>();
  readonly #name: string;

  constructor(name: string, shared: readonly Value[] = []) {
    this.#name = name;
    for (const value of shared) this.#values.add(value);
  }

  build(): Graph {
    return { name: this.#name, nodes: [...this.#nodes] };
  }

  embed(table: WeightName, size: { vocab: number; hidden: number }): Value {
    const out = this.#value('residual', ['tokens', size.hidden], 'f32');
    this.#nodes.push({
      op: 'embed',
      table: { name: table, shape: [size.vocab, size.hidden] },
      out,
    });
    return out;
  }

  rmsNorm(x: Value, weight: WeightName, epsilon: number): Value {
    const width = this.#width('rmsNorm', x);
    const out = this.#value('norm', x.shape, 'activation');
    this.#nodes.push({ op: 'rmsNorm', x, weight: { name: weight, shape: [width] }, epsilon, out });
    return out;
  }

  linear(
    x: Value,
    weight: WeightName,
    outWidth: number,
    options: { bias?: WeightName } = {},
  ): Value {
    const inWidth = this.#width('linear', x);
    const out = this.#value('linear', ['tokens', outWidth], 'activation');
    this.#nodes.push({
      op: 'linear',
      x,
      weight: { name: weight, shape: [outWidth, inWidth] },
      ...(options.bias === undefined ? {} : { bias: { name: options.bias, shape: [outWidth] } }),
      out,
    });
    return out;
  }

  qkNorm(x: Value, weight: WeightName, options: { headSize: number; epsilon: number }): Value {
    const { headSize, epsilon } = options;
    this.#requireHeads('qkNorm', x, headSize);
    const out = this.#value('qkNorm', x.shape, 'activation');
    this.#nodes.push({
      op: 'qkNorm',
      x,
      weight: { name: weight, shape: [headSize] },
      headSize,
      epsilon,
      out,
    });
    return out;
  }

  rope(x: Value, options: { headSize: number; theta: number }): Value {
    this.#requireHeads('rope', x, options.headSize);
    if (options.headSize % 2 !== 0) {
      throw this.#unfit(
        'rope',
        `the head size ${String(options.headSize)} is odd, pairs are needed`,
      );
    }
    const out = this.#value('rope', x.shape, 'activation');
    this.#nodes.push({ op: 'rope', x, ...options, out });
    return out;
  }

  /** Appends k and v to the pages and attends over them. */
  pagedAttention(
    q: Value,
    k: Value,
    v: Value,
    options: { heads: number; kvHeads: number; headSize: number; scale: number; window?: number },
  ): Value {
    const { heads, kvHeads, headSize } = options;
    this.#requireShape('pagedAttention q', q, ['tokens', heads * headSize]);
    this.#requireShape('pagedAttention k', k, ['tokens', kvHeads * headSize]);
    this.#requireShape('pagedAttention v', v, ['tokens', kvHeads * headSize]);
    if (heads % kvHeads !== 0) {
      throw this.#unfit(
        'pagedAttention',
        `${String(heads)} heads do not divide over ${String(kvHeads)} KV heads`,
      );
    }
    this.#nodes.push({ op: 'kvAppend', k, v });
    const out = this.#value('attention', q.shape, 'activation');
    this.#nodes.push({ op: 'pagedAttention', q, ...options, out });
    return out;
  }

  addTo(into: Value, x: Value): void {
    this.#require('addTo', into);
    this.#requireShape('addTo x', x, into.shape);
    if (into.dtype !== 'f32')
      throw this.#unfit('addTo', `cannot add to ${describe(into)}, only to f32`);
    this.#nodes.push({ op: 'addTo', into, x });
  }

  swiglu(gate: Value, up: Value): Value {
    this.#require('swiglu', gate);
    this.#requireShape('swiglu up', up, gate.shape);
    const out = this.#value('swiglu', gate.shape, 'activation');
    this.#nodes.push({ op: 'swiglu', gate, up, out });
    return out;
  }

  router(
    x: Value,
    weight: WeightName,
    options: {
      experts: number;
      topK: number;
      score: 'softmax' | 'sigmoid';
      renormalize: boolean;
      scale?: number;
    },
  ): Routes {
    const width = this.#width('router', x);
    const { experts, topK } = options;
    if (topK < 1 || topK > experts) {
      throw this.#unfit('router', `cannot choose ${String(topK)} of ${String(experts)} experts`);
    }
    const out: Routes = {
      expertIds: this.#value('expertIds', ['tokens', topK], 'i32'),
      weights: this.#value('weights', ['tokens', topK], 'f32'),
    };
    this.#nodes.push({
      op: 'router',
      x,
      weight: { name: weight, shape: [experts, width] },
      ...options,
      scale: options.scale ?? 1,
      out,
    });
    return out;
  }

  experts(
    x: Value,
    routes: Routes,
    options: {
      count: number;
      width: number;
      activation: 'silu';
      /** Tensor names of one expert. */
      weights: (expert: number) => { gate: WeightName; up: WeightName; down: WeightName };
    },
  ): Value {
    const hidden = this.#width('experts', x);
    const router = this.#nodes.find((node) => node.op === 'router' && node.out === routes);
    if (router?.op !== 'router') throw this.#unfit('experts', 'its routes are not of this graph');
    if (router.experts !== options.count) {
      const [routed, found] = [String(router.experts), String(options.count)];
      throw this.#unfit('experts', `the router chooses among ${routed} experts, here are ${found}`);
    }
    const inner: WeightRef['shape'] = [options.width, hidden];
    const experts = Array.from({ length: options.count }, (_, expert): ExpertWeights => {
      const { gate, up, down } = options.weights(expert);
      return {
        gate: { name: gate, shape: inner },
        up: { name: up, shape: inner },
        down: { name: down, shape: [hidden, options.width] },
      };
    });
    const out = this.#value('experts', x.shape, 'f32');
    const { width, activation } = options;
    this.#nodes.push({ op: 'experts', x, routes, experts, width, activation, out });
    return out;
  }

  lmHead(x: Value, weight: WeightName, vocab: number): Value {
    const width = this.#width('lmHead', x);
    const out = this.#value('logits', ['logitsRows', vocab], 'f32');
    this.#nodes.push({ op: 'lmHead', x, weight: { name: weight, shape: [vocab, width] }, out });
    return out;
  }

  #value(name: string, shape: readonly Dim[], dtype: ValueDType): Value {
    const value: Value = { id: this.#values.size, name, shape, dtype };
    this.#values.add(value);
    return value;
  }

  #require(op: string, value: Value): void {
    if (!this.#values.has(value)) {
      throw this.#unfit(op, `${describe(value)} belongs to another graph`);
    }
  }

  #requireShape(op: string, value: Value, shape: readonly Dim[]): void {
    this.#require(op, value);
    if (value.shape.join() !== shape.join()) {
      throw this.#unfit(op, `expected [${shape.join(', ')}], found ${describe(value)}`);
    }
  }

  #requireHeads(op: string, value: Value, headSize: number): void {
    const width = this.#width(op, value);
    if (width % headSize !== 0) {
      throw this.#unfit(op, `${describe(value)} does not hold whole heads of ${String(headSize)}`);
    }
  }

  #width(op: string, value: Value): number {
    this.#require(op, value);
    const [first, width] = value.shape;
    if (value.shape.length !== 2 || first !== 'tokens' || typeof width !== 'number') {
      throw this.#unfit(op, `expected [tokens, width], found ${describe(value)}`);
    }
    return width;
  }

  #unfit(op: string, what: string): BackendError {
    return new BackendError('ERR_SHAPE', {
      message: `Graph ${this.#name}, op ${op}: ${what}.`,
      details: { graph: this.#name, op },
    });
  }
}

function describe(value: Value): string {
  return `${value.name} [${value.shape.join(', ')}] ${value.dtype}`;
}
