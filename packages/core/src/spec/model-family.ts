import type { z } from 'zod';
import type { GraphBuilder } from '../graph/builder.js';
import type { ModelGraph, ModelSizes, Value } from '../graph/ops.js';

/**
 * A model family: how to read its config.json, and its layers as a graph. No arithmetic: what a
 * family needs is an op of the graph, or it needs a new op.
 */
export interface ModelFamily {
  readonly specVersion: 1;
  readonly name: string;
  /** Values of `architectures` in config.json that this family claims. */
  readonly architectures: readonly string[];
  /**
   * config.json → graph. Throws ConfigError 'ERR_CONFIG_FIELD' with the JSON path, the value found
   * and what was expected.
   */
  buildGraph(config: unknown): ModelGraph;
}

/** What an author writes; `defineFamily` makes a `ModelFamily` of it. */
export interface FamilyDefinition<Schema extends z.ZodType> {
  readonly name: string;
  readonly architectures: readonly string[];
  /** The fields of config.json this family reads; others are ignored. */
  readonly config: Schema;
  sizes(config: z.output<Schema>): ModelSizes;
  /** Token ids → residual. */
  prologue(graph: GraphBuilder, config: z.output<Schema>): Value;
  /** One layer. `weight('a.b')` is the tensor name of this layer's a.b. */
  layer(
    graph: GraphBuilder,
    residual: Value,
    config: z.output<Schema>,
    weight: (name: string) => string,
    layerIndex: number,
  ): void;
  /** Residual → logits. */
  epilogue(graph: GraphBuilder, residual: Value, config: z.output<Schema>): void;
}
