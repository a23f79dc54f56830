import {
  layerIndex,
  MegascaleError,
  microBatchIndex,
  randomWeightSource,
  referenceBackend,
  type Backend,
  type ModelGraph,
} from '@megascale/core';
import { microBatch, promptLogits, SeededRandom, type Colocated } from '@megascale/core/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { cpuBackend } from '../../src/index.js';
import { distance, expectSameBits, open, readBf16 } from '../support/compare.js';
import { machineIsas, testedIsas } from '../support/isas.js';
import { opModel, opsUnderTest } from '../support/op-models.js';
import {
  quantizedWeights,
  type Quantization,
  type QuantizedWeights,
} from '../support/quantized-weights.js';
import { statedSum } from '../support/stated-sum.js';

/** `avx512` takes VNNI where the machine has it; the other form is tested by its name. */
const withoutVnni = (isas: readonly string[]): readonly string[] =>
  isas.includes('avx512') ? [...isas, 'avx512-without-vnni'] : isas;
const isas = withoutVnni(await testedIsas());
/** These round alike everywhere, outside the multiply too. */
const vectorIsas = withoutVnni(await machineIsas()).filter((isa) => isa !== 'scalar');

const rowCounts = [0, 1, 2, 5, 6, 7, 15, 16, 17, 31, 33, 100];

/**
 * Columns of the LM head, and its scales: whole rows of any length, groups of every multiple of 32
 * up to 256.
 */
const heads: readonly (readonly [columns: number, how: Quantization])[] = [
  [77, { dtype: 'I8', groups: 1, scaleDType: 'F32' }],
  [128, { dtype: 'I8', groups: 1 }],
  [320, { dtype: 'I8', groups: 1, scaleDType: 'F16' }],
  [448, { dtype: 'I8', groups: 1 }],
  [96, { dtype: 'I8', groups: 3, scaleDType: 'F32' }],
  [192, { dtype: 'I8', groups: 2 }],
  [512, { dtype: 'I8', groups: 2 }],
  [77, { dtype: 'I4', groups: 1 }],
  [130, { dtype: 'I4', groups: 1 }],
  [96, { dtype: 'I4', groups: 3 }],
  [256, { dtype: 'I4', groups: 4 }],
  [384, { dtype: 'I4', groups: 3 }],
  [480, { dtype: 'I4', groups: 3 }],
  [512, { dtype: 'I4', groups: 2 }],
  [128, { dtype: 'I4', groups: 2, scaleDType: 'F32' }],
];

describe.each(isas)('a quantized multiply on %s', (isa) => {
  it.each(heads)('of %i columns as %o is the stated sum, to the bit', async (columns, how) => {
    const graph = headModel(columns, 70);
    const made = quantizedWeights(randomWeightSource(graph, 17), ({ name }) =>
      name === 'head.weight' ? how : undefined,
    );
    const backend = await cpuBackend.create({ isa, threads: 2 });
    const colocated = await open(backend, graph, made.weights, {
      tokensPerMicroBatchMax: 100,
      kvPageCount: 8,
    });
    const tokenIds = new SeededRandom(2).tokenIds(100, graph.sizes.vocabSize);
    const all = headOf(colocated, tokenIds);
    expectSameBits(
      all.logits,
      statedSum(all.rows, columns, made.matrix('head.weight'), how),
      'logits',
    );
    for (const rowCount of rowCounts) {
      const { logits } = headOf(colocated, tokenIds.slice(0, rowCount));
      const expected = all.logits.subarray(0, rowCount * graph.sizes.vocabSize);
      expectSameBits(logits, expected, `${rowCount} rows`);
    }
    backend.close();
  });
});

/**
 * Every matrix of the model in another format: linears, a router, experts of several kinds, and the
 * LM head.
 */
function mixed(graph: ModelGraph): QuantizedWeights {
  return quantizedWeights(randomWeightSource(graph, 23), ({ name }) => {
    if (/embed|norm|second|last|bias|router/.test(name)) return undefined;
    if (name.includes('experts.0')) return { dtype: 'I8', groups: 1, scaleDType: 'F32' };
    if (name.includes('experts.1')) return undefined;
    if (name.includes('experts')) return { dtype: 'I4', groups: 2 };
    return { dtype: name.startsWith('k.') ? 'I4' : 'I8', groups: name.startsWith('v.') ? 1 : 2 };
  });
}

const mixedSizes = {
  heads: 4,
  kvHeads: 2,
  headSize: 48,
  experts: 6,
  topK: 6,
  width: 64,
  vocab: 101,
};
const mixedGraph = opModel(opsUnderTest.pagedAttention, mixedSizes);
const noAttentionGraph = opModel(opsUnderTest.linear, mixedSizes);

describe('a model of mixed formats', () => {
  const tokenIds = new SeededRandom(5).tokenIds(40, mixedGraph.sizes.vocabSize);
  const backends: Backend[] = [];
  afterAll(() => {
    for (const backend of backends) backend.close();
  });
  const logitsOf = async (
    made: Promise<Backend>,
    { weights, plain }: QuantizedWeights,
    graph = mixedGraph,
  ) => {
    const backend = await made;
    backends.push(backend);
    return promptLogits(
      await open(backend, graph, backend.name === 'cpu' ? weights : plain),
      tokenIds,
    );
  };

  it.each(isas)('is near the reference on the unpacked weights on %s', async (isa) => {
    const found = await logitsOf(cpuBackend.create({ isa, threads: 2 }), mixed(mixedGraph));
    const expected = await logitsOf(referenceBackend.create(), mixed(mixedGraph));
    expect(distance(found, expected)).toBeLessThanOrEqual(0.04);
  });

  it('gives the same bits on every instruction set that has an FMA', async () => {
    const all = await Promise.all(
      vectorIsas.map((isa) => {
        const weights = quantizedOnly(noAttentionGraph);
        return logitsOf(cpuBackend.create({ isa, threads: 3 }), weights, noAttentionGraph);
      }),
    );
    for (const found of all) expectSameBits(found, all[0] ?? found, vectorIsas.join(', '));
    expect(all).toHaveLength(vectorIsas.length);
  });

  it.each(isas)('gives a decoded token the same logits in any batch on %s', async (isa) => {
    const backend = await cpuBackend.create({ isa, threads: 2 });
    backends.push(backend);
    const colocated = await open(backend, mixedGraph, mixed(mixedGraph).weights, {
      tokensPerMicroBatchMax: 128,
      kvPageCount: 160,
    });
    const own = { tokenIds: [7], kvPages: [3] };
    const alone = colocated.run(microBatch({ sequences: [own] }));
    for (const rowCount of rowCounts.slice(2)) {
      const others = Array.from({ length: rowCount - 1 }, (_, i) => ({
        tokenIds: [(i * 17) % mixedGraph.sizes.vocabSize],
        kvPages: [10 + i],
        logits: 'none' as const,
      }));
      others.splice(Math.floor(rowCount / 3), 0, own as (typeof others)[number]);
      const found = colocated.run(microBatch({ sequences: others }));
      expectSameBits(found, alone, `${rowCount} rows`);
    }
  });
});

/** Tiles and pairs sum bf16 products in another order, so no matrix may be bf16. */
function quantizedOnly(graph: ModelGraph): QuantizedWeights {
  return quantizedWeights(randomWeightSource(graph, 29), ({ name, shape }) => {
    if (shape.length !== 2 || name === 'embed.weight') return undefined;
    return name.includes('gate') || name.includes('up')
      ? { dtype: 'I4', groups: 3 }
      : { dtype: 'I8', groups: 1 };
  });
}

describe('quantized weights that do not fit', () => {
  const refused = async (how: Quantization, only: RegExp, columns = 96): Promise<string> => {
    const graph = headModel(columns, 10);
    const { weights } = quantizedWeights(randomWeightSource(graph, 1), ({ name }) =>
      only.test(name) ? how : undefined,
    );
    const backend = await cpuBackend.create({ threads: 1 });
    const thrown: unknown = await open(backend, graph, weights).catch((error: unknown) => error);
    backend.close();
    if (!MegascaleError.isInstance(thrown)) throw new Error('expected a MegascaleError');
    expect(thrown.code).toBe('ERR_SHAPE');
    return thrown.message;
  };

  it.each([2, 6, 48, 96])('are refused and named: %i groups of 96 columns', async (groups) => {
    const message = await refused({ dtype: 'I4', groups }, /^head\.weight$/);
    expect(message).toContain(`head.weight has ${groups} scales for 96 columns`);
  });

  it('are refused where groups do not divide the row', async () => {
    const message = await refused({ dtype: 'I8', groups: 5 }, /^head\.weight$/);
    expect(message).toContain('head.weight has 5 scales');
  });

  it('are refused where a gate differs from its up', async () => {
    const message = await refused({ dtype: 'I8', groups: 1 }, /experts\.1\.gate/);
    expect(message).toContain('experts.1.gate.weight and experts.1.up.weight differ');
  });

  it('are refused as an embedding table', async () => {
    const message = await refused({ dtype: 'I8', groups: 1 }, /embed/);
    expect(message).toContain('embedding table embed.weight is quantized');
  });
});

/**
 * The epilogue norms what the layer normed, so that a test sees the input of the LM head in the
 * slot.
 */
function headModel(hidden: number, vocab: number): ModelGraph {
  const sizes = { heads: 1, kvHeads: 1, headSize: hidden, experts: 2, topK: 1, width: 4, vocab };
  const graph = opModel(opsUnderTest.rmsNorm, sizes);
  const nodes = graph.epilogue.nodes.map((node) =>
    node.op === 'rmsNorm'
      ? { ...node, weight: { name: 'norm.weight', shape: node.weight.shape } }
      : node,
  );
  return { ...graph, epilogue: { ...graph.epilogue, nodes } };
}

/** The LM head's rows [tokens, hidden] and its logits [tokens, vocab]. */
function headOf(
  colocated: Colocated,
  tokenIds: readonly number[],
): { readonly rows: Float32Array; readonly logits: Float32Array } {
  const sequences = tokenIds.length === 0 ? [] : [{ tokenIds, kvPages: [0, 1, 2, 3, 4, 5, 6] }];
  colocated.attention.embed(microBatch({ sequences }));
  colocated.attention.attend(layerIndex(0), microBatchIndex(0));
  const [slot] = colocated.slots;
  if (slot === undefined) throw new RangeError('There is no slot.');
  const rows = readBf16(slot.hidden).subarray(
    0,
    tokenIds.length * colocated.model.sizes.hiddenSize,
  );
  return { rows, logits: colocated.attention.logits(microBatchIndex(0)).slice() };
}
