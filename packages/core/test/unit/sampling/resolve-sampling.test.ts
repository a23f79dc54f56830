import { describe, expect, it } from 'vitest';
import { RequestError } from '../../../src/errors.js';
import { resolveSampling } from '../../../src/sampling/resolve-sampling.js';

const drawSeed = (): number => 42;

describe('resolveSampling', () => {
  it('takes a field from the request, else the model, else the fallback', () => {
    expect(resolveSampling({}, {}, drawSeed)).toEqual({
      temperature: 1,
      topK: 0,
      topP: 1,
      minP: 0,
      seed: 42,
    });
    const model = { temperature: 0.6, topK: 20, topP: 0.95 };
    expect(resolveSampling({ temperature: 0, seed: 7 }, model, drawSeed)).toEqual({
      temperature: 0,
      topK: 20,
      topP: 0.95,
      minP: 0,
      seed: 7,
    });
  });

  it('takes every value at the border of its range', () => {
    for (const options of [
      { temperature: 1e300, topP: 1, minP: 1, topK: 1e9 },
      { temperature: 0, topP: Number.MIN_VALUE, minP: 0, topK: 0 },
      { seed: Number.MIN_SAFE_INTEGER },
      { seed: Number.MAX_SAFE_INTEGER },
    ]) {
      expect(resolveSampling(options, {}, drawSeed)).toMatchObject(options);
    }
  });

  it.each([
    ['temperature', -0.1],
    ['temperature', Infinity],
    ['temperature', NaN],
    ['topK', -1],
    ['topK', 1.5],
    ['topP', 0],
    ['topP', 1.01],
    ['topP', NaN],
    ['minP', -0.1],
    ['minP', 1.1],
    ['seed', 0.5],
    ['seed', 2 ** 53],
    ['temperature', '1'],
  ])('refuses %s = %s, naming field, value and range', (field, value) => {
    const attempt = (): unknown => resolveSampling({ [field]: value }, {}, drawSeed);
    expect(attempt).toThrow(RequestError);
    expect(attempt).toThrow(
      expect.objectContaining({
        code: 'ERR_REQUEST_INVALID',
        message: expect.stringContaining(`${field} is ${String(value)}, expected`) as string,
      }),
    );
  });
});
