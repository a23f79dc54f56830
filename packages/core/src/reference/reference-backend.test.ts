import { describe, expect, it } from 'vitest';
import { openColocated, promptLogits } from '../testing/run-colocated.js';
import { tinyMixtral, tinyQwen3Moe } from '../testing/tiny-models.js';
import { referenceBackend } from './reference-backend.js';

describe('reference backend', () => {
  it.each([tinyMixtral, tinyQwen3Moe])('runs %o', async (make) => {
    const model = make();
    const backend = await referenceBackend.create();
    const c = await openColocated({ backend, model: model.graph, weights: model.weights });
    const ids = Array.from({ length: 40 }, (_, i) => (i * 37) % 160);
    const whole = promptLogits(c, ids);
    expect(promptLogits(c, ids, { chunkTokens: 7, kvPages: [9, 3, 5], index: 1 })).toEqual(whole);
  });
});
