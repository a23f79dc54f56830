import { describe, expect, it } from 'vitest';
import { readWeights } from '../../../src/reference/read-weights.js';
import { tinyMixtral } from '../../../src/testing/backend/tiny-models.js';

describe('readWeights', () => {
  it('reads a tensor that two ops share once', () => {
    const { weights } = tinyMixtral();
    const reads: string[] = [];
    const source = {
      ...weights,
      read: (location: Parameters<typeof weights.read>[0]) => {
        reads.push(location.name);
        return weights.read(location);
      },
    };
    const ref = { name: 'model.norm.weight', shape: [128] };
    const read = readWeights(source, [ref, ref]);
    expect(reads).toEqual(['model.norm.weight']);
    expect(read.get('model.norm.weight')?.length).toBe(128);
  });
});
