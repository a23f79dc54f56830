import { describe, expect, it } from 'vitest';
import { tinyMixtral, tinyQwen3Moe } from '../../../src/testing/backend/tiny-models.js';
import { printGraph, printModel } from '../../../src/graph/print.js';

describe('printModel', () => {
  it('folds layers that are alike', () => {
    expect(printModel(tinyMixtral().graph)).toMatchSnapshot();
  });

  it('tells layers apart that differ', () => {
    expect(printModel(tinyQwen3Moe().graph)).toMatchSnapshot();
  });

  it('says which layers are folded', () => {
    const config = { num_hidden_layers: 6, mlp_only_layers: [3] };
    const titles = printModel(tinyQwen3Moe({ config }).graph).match(/^layers? \S+$/gm);
    expect(titles).toEqual(['layers 0–2', 'layer 3', 'layers 4–5']);
  });
});

describe('printGraph', () => {
  it('prints one line per node under its name', () => {
    const { graph } = tinyMixtral();
    expect(printGraph(graph.epilogue).split('\n')).toEqual([
      'epilogue',
      '  %1 norm [tokens, 128] activation = rmsNorm(%0, epsilon 0.00001)  model.norm.weight [128]  516 FLOPs/token',
      '  %2 logits [logitsRows, 160] f32 = lmHead(%1)  lm_head.weight [160, 128]  41.0 k FLOPs/token',
      '',
    ]);
  });
});
