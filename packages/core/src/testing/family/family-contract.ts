import { describe, expect } from 'vitest';
import { MegascaleError } from '../../errors.js';
import { costOfModel, parameterCount } from '../../graph/cost.js';
import { decodeWorkload } from '../../graph/workload.js';
import { inputsOf, outputsOf, weightsOf } from '../../graph/node-values.js';
import type { Graph, GraphNode, ModelGraph, Value } from '../../graph/ops.js';
import { partition } from '../../graph/partition.js';
import type { ModelFamily } from '../../spec/model-family.js';
import { contractTest, type ContractSkips } from '../contract-test.js';

export interface FamilyContractOptions {
  readonly family: ModelFamily;
  /** config.json of a real model of the family, with every field the family reads. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Names and shapes from the headers of that model's files. */
  readonly tensors: Readonly<Record<string, readonly number[]>>;
  /** Fields of `config` the family cannot do without: each, left out, must be named. */
  readonly required: readonly string[];
  readonly skip?: ContractSkips;
}

/**
 * What every model family must keep, as tests: every tensor of a real model has its place and every
 * place its tensor, a bad config field is named by its path, the graph is well-formed, and what
 * derives from it (partition, cost) works.
 */
export function familyContract(options: FamilyContractOptions): void {
  const { family, config, tensors } = options;
  describe(`model family contract: ${family.name}`, () => {
    const test = contractTest(options.skip);
    const build = (): ModelGraph => family.buildGraph(config);

    test('every tensor has a place, and every place a tensor of its shape', () => {
      const places = Object.fromEntries(
        nodesOf(build())
          .flatMap(weightsOf)
          .map(({ name, shape }) => [name, shape]),
      );
      expect(places).toEqual(tensors);
    });

    test('the family claims the architecture of the config', () => {
      expect(family.architectures).toContain((config['architectures'] as readonly string[])[0]);
    });

    test('a missing field is named by its path', () => {
      for (const field of options.required) {
        const rest = Object.fromEntries(Object.entries(config).filter(([name]) => name !== field));
        expectFieldNamed(family, rest, field);
      }
    });

    test('a field of a wrong type is named by its path, or is not read at all', () => {
      const wrong = { not: 'expected here' };
      for (const field of Object.keys(config).filter((name) => name !== 'architectures')) {
        const changed = { ...config, [field]: wrong };
        const read = options.required.includes(field) || throws(() => family.buildGraph(changed));
        if (read) expectFieldNamed(family, changed, field);
      }
    });

    test('a config that is no object is refused', () => {
      for (const value of [undefined, null, 'config', 3, []]) {
        expect(codeOf(() => family.buildGraph(value))).toBe('ERR_CONFIG_FIELD');
      }
    });

    test('each value is computed before it is read', () => {
      const model = build();
      const residual = outputsOfAll(model.prologue.nodes);
      for (const graph of [model.prologue, ...model.layers, model.epilogue]) {
        expectInOrder(graph, graph === model.prologue ? [] : residual);
      }
    });

    test('the prologue makes the residual and the epilogue the logits', () => {
      const { prologue, epilogue, sizes } = build();
      expect(outputsOfAll(prologue.nodes).map(({ shape }) => shape)).toContainEqual([
        'tokens',
        sizes.hiddenSize,
      ]);
      expect(epilogue.nodes.at(-1)?.op).toBe('lmHead');
      expect(outputsOfAll(epilogue.nodes).at(-1)?.shape).toEqual(['logitsRows', sizes.vocabSize]);
    });

    test('the sizes are those of the graph', () => {
      expectSizes(build());
    });

    test('partition keeps every node but the sums over experts', () => {
      const model = build();
      const { attention, expert } = partition(model);
      const attend = attention.stages.flatMap((stage) => stage.attend);
      const kept = attention.prologue.length + attend.length + attention.epilogue.length;
      expect(expert.stages.length).toBe(attention.stages.length);
      expect(kept + 2 * expert.stages.length).toBe(nodesOf(model).length);
      for (const stage of attention.stages) expect(stage.attend.at(-1)).toBe(stage.router);
    });

    test('cost is positive, and grows with the tokens', () => {
      const model = build();
      const [one, two] = [1, 2].map((sequences) => {
        return costOfModel(model, decodeWorkload(model, { sequences, contextTokens: 100 }));
      });
      for (const field of ['flops', 'weightBytes', 'activationBytes', 'kvBytes'] as const) {
        expect(one?.[field], field).toBeGreaterThan(0);
        expect(two?.[field], field).toBeGreaterThanOrEqual(one?.[field] ?? Infinity);
      }
      const { total, active } = parameterCount(model);
      const elements = Object.values(tensors).map((shape) => shape.reduce((a, b) => a * b, 1));
      expect(total).toBe(elements.reduce((a, b) => a + b, 0));
      expect(active).toBeLessThanOrEqual(total);
    });
  });
}

function nodesOf(model: ModelGraph): readonly GraphNode[] {
  return [model.prologue, ...model.layers, model.epilogue].flatMap(({ nodes }) => nodes);
}

function outputsOfAll(nodes: readonly GraphNode[]): readonly Value[] {
  return nodes.flatMap(outputsOf);
}

function expectInOrder(graph: Graph, before: readonly Value[]): void {
  const computed = new Set(before);
  for (const node of graph.nodes) {
    for (const value of inputsOf(node)) {
      expect(computed.has(value), `${graph.name}: ${node.op} reads ${value.name}`).toBe(true);
    }
    for (const value of outputsOf(node)) computed.add(value);
  }
}

/** Every routed layer, every attention and the two ends agree with `ModelSizes`. */
function expectSizes(model: ModelGraph): void {
  const { sizes } = model;
  expect(model.layers.length).toBe(sizes.layerCount);
  for (const node of nodesOf(model)) {
    if (node.op === 'pagedAttention') {
      const { heads, kvHeads, headSize } = node;
      const expected = [sizes.headCount, sizes.kvHeadCount, sizes.headSize];
      expect([heads, kvHeads, headSize]).toEqual(expected);
    } else if (node.op === 'router') {
      expect([node.experts, node.topK]).toEqual([sizes.expertCount, sizes.topK]);
    } else if (node.op === 'experts') {
      expect([node.experts.length, node.width]).toEqual([sizes.expertCount, sizes.expertWidth]);
    } else if (node.op === 'embed') {
      expect(node.table.shape).toEqual([sizes.vocabSize, sizes.hiddenSize]);
    }
  }
}

function expectFieldNamed(family: ModelFamily, config: unknown, field: string): void {
  const error = caught(() => family.buildGraph(config));
  if (!MegascaleError.isInstance(error)) {
    throw new Error(`${field}: expected a ConfigError, found ${String(error)}`);
  }
  expect(error.code, field).toBe('ERR_CONFIG_FIELD');
  expect(String(error.details['path']).split('.')[0], field).toBe(field);
  expect(error.message, field).toContain(`"${field}`);
}

function throws(action: () => unknown): boolean {
  return caught(action) !== undefined;
}

function codeOf(action: () => unknown): string | undefined {
  const error = caught(action);
  return MegascaleError.isInstance(error) ? error.code : undefined;
}

function caught(action: () => unknown): unknown {
  try {
    action();
    return undefined;
  } catch (error) {
    return error;
  }
}
