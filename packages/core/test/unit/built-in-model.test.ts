import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { dictionaryFolder, dictionaryRows } from '../../../../tools/goldens/dictionary-rows.js';
import { readDictionaryGolden } from '../../../../tools/goldens/read-goldens.js';
import { openChatTemplate, openTokenizer, referenceBackend } from '../../src/index.js';

/** Every logit of the reference is this close to that of Transformers in f32. */
const logitBound = 2e-4;

describe('the built-in model, against Transformers', () => {
  const golden = readDictionaryGolden();

  it('is the model that was asked', () => {
    const weights = readFileSync(new URL('model.safetensors', dictionaryFolder));
    expect(createHash('sha256').update(weights).digest('hex')).toBe(golden.weightsSha256);
    expect(golden.prompts).toHaveLength(50);
  });

  it('gets the same tokens from every prompt, conversations through the chat template', () => {
    const tokenizer = openTokenizer(dictionaryFolder.pathname);
    const template = openChatTemplate(dictionaryFolder.pathname);
    for (const { text, messages, promptTokens } of golden.prompts) {
      const rendered =
        messages === undefined
          ? text
          : template?.render({ messages: messages.map((message) => ({ ...message })) });
      expect(rendered).toBe(text);
      expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(promptTokens);
    }
  });

  it('gives the same logits and greedy tokens on the reference backend', async () => {
    const backend = await referenceBackend.create();
    for (const { prompt, expected, found, differing } of await dictionaryRows(backend)) {
      const largest = expected.reduce(
        (most, value, i) => Math.max(most, Math.abs(value - (found[i] as number))),
        0,
      );
      expect(largest, prompt.text).toBeLessThanOrEqual(logitBound);
      for (const { step, margin } of differing) {
        expect(margin, `${prompt.text}, token ${step}`).toBeLessThanOrEqual(2 * logitBound);
      }
    }
    backend.close();
  }, 120_000);
});
