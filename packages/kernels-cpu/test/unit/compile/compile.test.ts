import {
  GraphBuilder,
  inputsOf,
  outputsOf,
  partition,
  type AttentionProgram,
  type GraphNode,
  type Value,
} from '@megascale/core';
import { tinyMixtral, tinyQwen3Moe } from '@megascale/core/testing';
import { describe, expect, it } from 'vitest';
import { compileAttention } from '../../../src/compile/compile.js';
import { groupLinears } from '../../../src/compile/group-linears.js';
import { opFields } from '../../../src/compile/native-records.js';
import { planValues } from '../../../src/compile/plan-values.js';

const programs: readonly (readonly [name: string, program: AttentionProgram])[] = [
  ['mixtral', partition(tinyMixtral().graph).attention],
  ['qwen3-moe with a dense layer', partition(tinyQwen3Moe().graph).attention],
  [
    'dense layers at the end',
    partition(tinyQwen3Moe({ config: { mlp_only_layers: [1, 2] } }).graph).attention,
  ],
];

function listsOf(program: AttentionProgram): (readonly GraphNode[])[] {
  return [program.prologue, ...program.stages.map((s) => s.attend), program.epilogue];
}

describe.each(programs)('%s', (_, program) => {
  const lists = listsOf(program).map(groupLinears);

  it('keeps every node when it brings linears of one input together', () => {
    for (const [i, list] of listsOf(program).entries()) {
      expect(new Set(lists[i])).toEqual(new Set(list));
      expect(lists[i]).toHaveLength(list.length);
    }
  });

  it('still computes every value before it is read', () => {
    const known = new Set<Value>();
    for (const node of lists.flat()) {
      for (const input of inputsOf(node)) expect(known).toContain(input);
      for (const output of outputsOf(node)) known.add(output);
    }
  });

  it('puts queries, keys and values side by side', () => {
    for (const nodes of lists.slice(1, -1)) {
      const first = nodes.findIndex((node) => node.op === 'linear');
      const three = nodes.slice(first, first + 3).map((node) => node.op);
      expect(three).toEqual(['linear', 'linear', 'linear']);
    }
  });

  it('never lets two values share a buffer while both are alive', () => {
    const plan = planValues(program, lists);
    const place = (value: Value): string => {
      const placed = plan.values[plan.numberOf(value)];
      return `${placed?.kind ?? 'none'}:${placed?.buffer ?? NaN}`;
    };
    for (const nodes of lists) {
      const holder = new Map<string, Value>();
      for (const node of nodes) {
        for (const input of inputsOf(node)) {
          expect(holder.get(place(input)) ?? input, `${node.op} reads ${input.name}`).toBe(input);
        }
        if (node.op === 'router' || node.op === 'lmHead') continue;
        const inputs = inputsOf(node).map(place);
        for (const output of outputsOf(node)) {
          if (node.op !== 'addTo') expect(inputs).not.toContain(place(output));
          holder.set(place(output), output);
        }
      }
    }
  });

  it('writes whole ops, one list for each piece, and a cache for each append', () => {
    const { code, matrices } = compileAttention(program);
    expect(code.lists.map((ops) => ops.length / Object.keys(opFields).length)).toEqual(
      lists.map((l) => l.length),
    );
    const appends = lists.flat().filter((node) => node.op === 'kvAppend');
    expect(code.kvCaches).toHaveLength(2 * appends.length);
    expect(new Set(matrices.map(({ name }) => name)).size).toBe(matrices.length);
  });

  it('keeps only the residual from one piece to the next', () => {
    expect(compileAttention(program).code.stateRowBytes).toEqual(
      Float64Array.of(program.sizes.hiddenSize * 4),
    );
  });
});

describe('what cannot run is refused by name', () => {
  const sizes = tinyMixtral().graph.sizes;
  const program = (build: (g: GraphBuilder, residual: Value) => void): AttentionProgram => {
    const g = new GraphBuilder('epilogue');
    const residual = g.embed('embed', { vocab: sizes.vocabSize, hidden: 16 });
    build(g, residual);
    return { sizes, prologue: [], stages: [], epilogue: g.build().nodes };
  };

  it('a linear of the f32 residual', () => {
    const bad = program((g, residual) => g.linear(residual, 'w', 8));
    expect(() => compileAttention(bad)).toThrow(/Op linear reads residual of type f32/);
  });

  it('a vocabulary that is not the model’s', () => {
    const bad = program((g, residual) => {
      g.lmHead(g.rmsNorm(residual, 'n', 1e-5), 'w', sizes.vocabSize + 1);
    });
    expect(() => compileAttention(bad)).toThrow(/Op lmHead has/);
  });

  it('experts in the attention stage', () => {
    const { layers } = tinyMixtral().graph;
    const bad = { sizes, prologue: [], stages: [], epilogue: layers[0]?.nodes ?? [] };
    expect(() => compileAttention(bad)).toThrow(/read before it is computed|Partition the model/);
  });
});
