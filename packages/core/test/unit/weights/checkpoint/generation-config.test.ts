import { describe, expect, it } from 'vitest';
import { mergeGenerationConfig } from '../../../../src/weights/checkpoint/generation-config.js';

describe('mergeGenerationConfig', () => {
  it('is greedy without end tokens when nothing is said', () => {
    expect(mergeGenerationConfig({}, {})).toEqual({
      eosTokenIds: [],
      sampling: { temperature: 0 },
    });
  });

  it('joins the end tokens of both files, each once', () => {
    const merged = mergeGenerationConfig(
      { eos_token_id: [7, 8], pad_token_id: 0 },
      { eos_token_id: 8, bos_token_id: 1, pad_token_id: 5 },
    );
    expect(merged).toMatchObject({ eosTokenIds: [7, 8], bosTokenId: 1, padTokenId: 0 });
  });

  it('ignores a temperature unless do_sample is true', () => {
    const fields = { temperature: 0.6, top_k: 20, top_p: 0.95, min_p: 0.1 };
    expect(mergeGenerationConfig(fields, {}).sampling).toEqual({ temperature: 0 });
    expect(mergeGenerationConfig({ ...fields, do_sample: false }, {}).sampling).toEqual({
      temperature: 0,
    });
    expect(mergeGenerationConfig({ ...fields, do_sample: true }, {}).sampling).toEqual({
      temperature: 0.6,
      topK: 20,
      topP: 0.95,
      minP: 0.1,
    });
    expect(mergeGenerationConfig({ do_sample: true, top_k: null }, {}).sampling).toEqual({});
  });

  it.each<[string, unknown, unknown, string]>([
    ['temperature', { temperature: -1 }, {}, 'generation_config.json: field "temperature"'],
    ['top_p', { top_p: 0 }, {}, 'generation_config.json: field "top_p"'],
    ['top_k', { top_k: 1.5 }, {}, 'generation_config.json: field "top_k"'],
    ['eos', {}, { eos_token_id: 'end' }, 'config.json: field "eos_token_id"'],
    ['a list item', { eos_token_id: [1, -2] }, {}, 'field "eos_token_id'],
  ])('names a bad %s', (_, generation, config, words) => {
    expect(() => mergeGenerationConfig(generation, config)).toThrow(words);
    expect(() => mergeGenerationConfig(generation, config)).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG_FIELD' }),
    );
  });
});
