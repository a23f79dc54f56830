import {
  microBatchIndex,
  weightsOf,
  type MicroBatch,
  type ModelGraph,
  type RouterNode,
  type WeightSource,
} from '@megascale/core';
import type { Colocated } from '@megascale/core/testing';

export interface SameRoutesRun {
  /** [logitsRows, vocabSize] of the backend under test. */
  readonly logits: Float32Array;
  /**
   * Of each choice of experts that differs from the reference's: by how little the reference's own
   * choice was decided.
   */
  readonly margins: readonly number[];
  /** Choices in all: tokens × layers. */
  readonly choices: number;
}

/**
 * Runs a micro-batch on two backends at once, and after each router gives the one under test the
 * reference's choice. What is left to differ is arithmetic: a router that hangs by less than bf16
 * resolves would send a row through other experts, and no bound on logits could hold.
 */
export class SameRoutes {
  readonly #routers: readonly Router[];

  constructor(
    private readonly tested: Colocated,
    private readonly reference: Colocated,
    model: ModelGraph,
    weights: WeightSource,
  ) {
    this.#routers = model.layers.flatMap(({ nodes }) =>
      nodes.filter((node) => node.op === 'router').map((node) => new Router(node, weights)),
    );
  }

  run(batch: MicroBatch): SameRoutesRun {
    const { tested, reference } = this;
    const tokens = batch.tokenIds.length;
    const margins: number[] = [];
    for (const side of [tested, reference]) side.attention.embed(batch);
    for (const [index, layer] of tested.layers.entries()) {
      for (const side of [tested, reference]) side.attention.attend(layer, batch.index);
      margins.push(...this.#margins(index, batch));
      copyRoutes(reference, tested);
      for (const side of [tested, reference]) {
        side.runExperts(layer, batch);
        side.attention.combine(layer, batch.index);
      }
    }
    const logits = tested.attention.logits(batch.index).slice();
    return { logits, margins, choices: tokens * tested.layers.length };
  }

  #margins(layer: number, batch: MicroBatch): number[] {
    const router = this.#routers[layer];
    if (router === undefined) return [];
    const found = slotOf(this.tested);
    const expected = slotOf(this.reference);
    return Array.from({ length: batch.tokenIds.length }, (_, token) => token)
      .filter((token) => found.chosen(token).join() !== expected.chosen(token).join())
      .map((token) => router.margin(expected.hidden(token)));
  }
}

/** Views of the first micro-batch's slot of a backend with f32 or bf16 activations. */
function slotOf({ slots, model }: Colocated): {
  chosen: (token: number) => number[];
  hidden: (token: number) => Float32Array;
} {
  const { topK, hiddenSize } = model.sizes;
  const slot = slots[microBatchIndex(0)];
  const ids = view(slot?.expertIds.bytes, Int32Array);
  const hidden = view(slot?.hidden.bytes, Float32Array);
  return {
    chosen: (token) => [...ids.subarray(token * topK, (token + 1) * topK)].sort((a, b) => a - b),
    hidden: (token) => hidden.subarray(token * hiddenSize, (token + 1) * hiddenSize),
  };
}

function copyRoutes(from: Colocated, to: Colocated): void {
  for (const field of ['expertIds', 'weights'] as const) {
    const source = from.slots[0]?.[field].bytes;
    if (source !== undefined) to.slots[0]?.[field].bytes?.set(source);
  }
}

function view<Numbers>(
  bytes: Uint8Array | undefined,
  type: new (buffer: ArrayBufferLike, offset: number, length: number) => Numbers,
): Numbers {
  if (bytes === undefined) throw new TypeError('the slot must be readable by the host');
  return new type(bytes.buffer, bytes.byteOffset, Math.floor(bytes.byteLength / 4));
}

class Router {
  readonly #node: RouterNode;
  /** [experts, hidden], from bf16. */
  readonly #weight: Float32Array;

  constructor(node: RouterNode, weights: WeightSource) {
    const [weight] = weightsOf(node);
    if (weight === undefined) throw new TypeError('a router has a weight');
    const bytes = weights.read(weights.locate(weight.name, weight.shape));
    const stored = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
    this.#node = node;
    this.#weight = new Float32Array(Uint32Array.from(stored, (half) => half << 16).buffer);
  }

  /** Probability of the last expert chosen less that of the first one left out. */
  margin(hidden: Float32Array): number {
    const { experts, topK } = this.#node;
    const logits = Array.from({ length: experts }, (_, expert) =>
      hidden.reduce(
        (sum, value, i) => sum + value * (this.#weight[expert * hidden.length + i] ?? 0),
        0,
      ),
    );
    const largest = Math.max(...logits);
    const powers = logits.map((value) => Math.exp(value - largest));
    const sum = powers.reduce((total, value) => total + value, 0);
    const falling = powers.map((value) => value / sum).sort((a, b) => b - a);
    return (falling[topK - 1] ?? 0) - (falling[topK] ?? 0);
  }
}
