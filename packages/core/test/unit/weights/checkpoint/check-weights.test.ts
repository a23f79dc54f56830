import { describe, expect, it } from 'vitest';
import { buildModelGraph } from '../../../../src/families/registry.js';
import type { TensorLocation, WeightSource } from '../../../../src/spec/weight-source.js';
import { checkWeights, requiredWeights } from '../../../../src/weights/checkpoint/check-weights.js';
import { locateTensor } from '../../../../src/weights/checkpoint/locate-tensor.js';
import {
  randomConfig,
  type RandomModelOptions,
} from '../../../../src/weights/random/random-config.js';
import { randomWeightSource } from '../../../../src/weights/random/random-weight-source.js';

const sizes: RandomModelOptions = {
  family: 'mixtral',
  hidden: 16,
  layers: 2,
  experts: 3,
  topK: 2,
  expertWidth: 8,
  heads: 2,
  kvHeads: 1,
  vocab: 32,
};
const model = buildModelGraph(randomConfig(sizes));

/** The model's tensors after `change`. */
function changed(
  change: (tensors: Map<string, TensorLocation>) => void,
  graph = model,
): WeightSource {
  const full = randomWeightSource(graph, 1);
  const tensors = new Map(full.tensors);
  change(tensors);
  return {
    tensors,
    locate: (name, shape) => locateTensor({ tensors, origin: 'test' }, name, shape),
    read: (location) => full.read(location),
  };
}

function add(tensors: Map<string, TensorLocation>, name: string): void {
  const [any] = tensors.values();
  if (any !== undefined) tensors.set(name, { ...any, name });
}

describe('requiredWeights', () => {
  it('lists every tensor once, the table of a tied model too', () => {
    const names = requiredWeights(model).map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    // Two tables and the last norm; per layer two norms, four projections, the router, three per
    // expert.
    expect(names).toHaveLength(3 + 2 * (2 + 4 + 1 + 3 * 3));
    const tied = buildModelGraph(randomConfig({ ...sizes, tied: true }));
    expect(requiredWeights(tied)).toHaveLength(names.length - 1);
  });
});

describe('checkWeights', () => {
  it('accepts exactly the tensors a model needs', () => {
    expect(() => {
      checkWeights(model, randomWeightSource(model, 1));
    }).not.toThrow();
  });

  it('names an absent tensor, an ill-shaped one and unknown ones', () => {
    const absent = changed((tensors) => tensors.delete('model.norm.weight'));
    expect(() => {
      checkWeights(model, absent);
    }).toThrow(expect.objectContaining({ code: 'ERR_WEIGHT_MISSING' }));
    const other = buildModelGraph(randomConfig({ ...sizes, vocab: 33 }));
    expect(() => {
      checkWeights(other, randomWeightSource(model, 1));
    }).toThrow(expect.objectContaining({ code: 'ERR_WEIGHT_SHAPE' }));
    const unknown = changed((tensors) => {
      for (let i = 0; i < 10; i++) add(tensors, `model.layers.${i}.extra.weight`);
    });
    expect(() => {
      checkWeights(model, unknown);
    }).toThrow(
      expect.objectContaining({
        code: 'ERR_WEIGHT_UNKNOWN',
        message: expect.stringMatching(/10 tensors.*layers\.7\.extra\.weight and 2 more/) as string,
      }),
    );
  });

  it('refuses a quantized embedding table by name', () => {
    const quantized = changed((tensors) => {
      const table = tensors.get('model.embed_tokens.weight');
      if (table !== undefined) tensors.set(table.name, { ...table, dtype: 'I8' });
    });
    expect(() => {
      checkWeights(model, quantized);
    }).toThrow(
      expect.objectContaining({
        code: 'ERR_WEIGHT_FORMAT',
        message: expect.stringContaining('model.embed_tokens.weight') as string,
      }),
    );
  });

  it('ignores stored rotary tables, and lm_head only where it is tied', () => {
    const rotary = changed((tensors) => {
      add(tensors, 'model.layers.0.self_attn.rotary_emb.inv_freq');
    });
    expect(() => {
      checkWeights(model, rotary);
    }).not.toThrow();
    const tied = buildModelGraph(randomConfig({ ...sizes, tied: true }));
    const withHead = changed((tensors) => {
      add(tensors, 'lm_head.weight');
    }, tied);
    expect(() => {
      checkWeights(tied, withHead);
    }).not.toThrow();
    const headTwice = changed((tensors) => {
      add(tensors, 'lm_head2.weight');
    }, tied);
    expect(() => {
      checkWeights(tied, headTwice);
    }).toThrow(expect.objectContaining({ code: 'ERR_WEIGHT_UNKNOWN' }));
  });
});
