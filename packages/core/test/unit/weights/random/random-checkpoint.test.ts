import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { buildModelGraph } from '../../../../src/families/registry.js';
import { checkWeights, requiredWeights } from '../../../../src/weights/checkpoint/check-weights.js';
import { openCheckpoint } from '../../../../src/weights/checkpoint/checkpoint.js';
import {
  makeRandomCheckpoint,
  type RandomCheckpointOptions,
} from '../../../../src/weights/random/random-checkpoint.js';
import { openChatTemplate } from '../../../../src/text/chat-template.js';
import { createTokenizer, openTokenizer, type Tokenizer } from '../../../../src/text/tokenizer.js';
import { randomTokenizer } from '../../../../src/weights/random/random-tokenizer.js';
import { randomWeightSource } from '../../../../src/weights/random/random-weight-source.js';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'megascale-random-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

const mixtral: RandomCheckpointOptions = {
  family: 'mixtral',
  hidden: 24,
  layers: 2,
  experts: 3,
  topK: 2,
  expertWidth: 20,
  heads: 4,
  kvHeads: 2,
  vocab: 300,
  seed: 11,
};
const qwen3Moe: RandomCheckpointOptions = {
  ...mixtral,
  family: 'qwen3-moe',
  headSize: 8,
  tied: true,
  slidingWindow: 16,
  normTopkProb: false,
  mlpOnlyLayers: [0],
  attentionBias: true,
  vocab: 40,
};

describe('makeRandomCheckpoint', () => {
  it.each([mixtral, qwen3Moe])(
    'writes a $family that opens and fits its graph',
    async (options) => {
      await makeRandomCheckpoint(dir, { ...options, shardBytesMax: 9000 });
      const { config, weights, generationConfig } = openCheckpoint(dir);
      const model = buildModelGraph(config);
      checkWeights(model, weights);
      expect(readdirSync(dir)).toContain('model.safetensors.index.json');
      expect(generationConfig.sampling).toEqual({ temperature: 0 });
      expect(generationConfig.eosTokenIds).toHaveLength(1);
      const memory = randomWeightSource(model, options.seed);
      for (const { name, shape } of requiredWeights(model)) {
        const onDisk = Buffer.from(weights.read(weights.locate(name, shape)));
        expect(onDisk.equals(memory.read(memory.locate(name, shape)))).toBe(true);
      }
    },
  );

  it('refuses a directory that holds something, and sizes that cannot be', async () => {
    const bad = async (change: object, code: string): Promise<void> => {
      await expect(makeRandomCheckpoint(dir, { ...mixtral, ...change })).rejects.toMatchObject({
        code,
      });
      expect(readdirSync(dir)).toEqual([]);
    };
    await bad({ hidden: 0 }, 'ERR_CONFIG_FIELD');
    await bad({ vocab: 1 }, 'ERR_CONFIG_FIELD');
    await bad({ seed: 0.5 }, 'ERR_CONFIG_FIELD');
    await bad({ topK: 4 }, 'ERR_CONFIG_FIELD');
    writeFileSync(join(dir, 'precious'), '');
    await expect(makeRandomCheckpoint(dir, mixtral)).rejects.toThrow('precious');
  });
});

describe('randomTokenizer', () => {
  function load(vocabSize: number): Tokenizer {
    const { tokenizer, tokenizerConfig } = randomTokenizer(vocabSize);
    return createTokenizer(tokenizer, tokenizerConfig);
  }

  it.each([2, 3, 40, 100, 259, 260, 261, 1000])('has exactly %i tokens', (vocabSize) => {
    const tokenizer = load(vocabSize);
    expect(tokenizer.vocabSize).toBe(vocabSize);
    const tokens = Array.from({ length: vocabSize }, (_, id) => tokenizer.tokenOf(id));
    expect(tokens).not.toContain(undefined);
    expect(new Set(tokens).size).toBe(vocabSize);
  });

  it.each([260, 500])('gives any text back with %i tokens', (vocabSize) => {
    const tokenizer = load(vocabSize);
    for (const text of [' ~The quick brown fox, 0123!\n\t', 'żółw — 東京 🐢', ' w270']) {
      const ids = tokenizer.encode(text);
      expect(ids).toHaveLength(Buffer.byteLength(text));
      expect(tokenizer.decode(ids)).toBe(text);
    }
  });

  it('spells plain text with few tokens, and marks what it cannot spell', () => {
    const tokenizer = load(40);
    expect(tokenizer.decode(tokenizer.encode('a tiny test'))).toBe('a tiny test');
    expect(tokenizer.encode('A')).toEqual([randomTokenizer(40).padTokenId]);
  });

  it('ends with the token that generation_config.json names', async () => {
    await makeRandomCheckpoint(dir, mixtral);
    const { eosTokenId } = openTokenizer(dir);
    expect(openCheckpoint(dir).generationConfig.eosTokenIds).toEqual([eosTokenId]);
  });

  it('has a chat template that spells its roles', async () => {
    await makeRandomCheckpoint(dir, mixtral);
    const text = openChatTemplate(dir)?.render({ messages: [{ role: 'user', content: 'Hi' }] });
    expect(text).toBe('user: Hi\nassistant: ');
  });
});
