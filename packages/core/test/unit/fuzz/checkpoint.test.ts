import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConfigError, RequestError } from '../../../src/errors.js';
import { openChatTemplate } from '../../../src/text/chat-template.js';
import { openTokenizer } from '../../../src/text/tokenizer.js';
import { openCheckpoint } from '../../../src/weights/checkpoint/checkpoint.js';
import { makeRandomCheckpoint } from '../../../src/weights/random/random-checkpoint.js';

let dir = '';
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'megascale-fuzz-'));
  mkdirSync(join(dir, 'model'));
  await makeRandomCheckpoint(join(dir, 'model'), {
    family: 'mixtral',
    hidden: 16,
    layers: 1,
    experts: 2,
    topK: 1,
    expertWidth: 16,
    heads: 2,
    kvHeads: 1,
    vocab: 262,
    seed: 1,
    shardBytesMax: 4000,
  });
});
afterAll(() => {
  rmSync(dir, { recursive: true });
});

const model = (name = ''): string => join(dir, 'model', name);

/** Runs with a file replaced; only typed errors may come out. */
function surviveWith(name: string, text: string, run: () => unknown): void {
  const original = readFileSync(model(name));
  writeFileSync(model(name), text);
  try {
    run();
  } catch (error) {
    if (!(error instanceof ConfigError || error instanceof RequestError)) throw error;
  } finally {
    writeFileSync(model(name), original);
  }
}

/** JSON with one value, anywhere in it, replaced. */
function replaced(json: unknown, path: readonly number[], value: unknown): unknown {
  const [step, ...rest] = path;
  if (step === undefined || typeof json !== 'object' || json === null) return value;
  const keys = Object.keys(json);
  const key = keys[step % Math.max(1, keys.length)];
  if (key === undefined) return value;
  const copy: Record<string, unknown> = { ...json };
  copy[key] = replaced(copy[key], rest, value);
  return Array.isArray(json) ? Object.values(copy) : copy;
}

const paths = fc.array(fc.nat(300), { minLength: 1, maxLength: 5 });

describe('a hostile model directory', { timeout: 120_000 }, () => {
  it.each<[string, () => unknown]>([
    ['config.json', () => openCheckpoint(model())],
    ['generation_config.json', () => openCheckpoint(model())],
    ['model.safetensors.index.json', () => openCheckpoint(model())],
    [
      'tokenizer.json',
      () => {
        const tokenizer = openTokenizer(model());
        tokenizer.decode(tokenizer.encode('Hello, wörld<|end|>'), { skipSpecialTokens: false });
      },
    ],
    ['tokenizer_config.json', () => openTokenizer(model())],
    [
      'tokenizer_config.json',
      () => openChatTemplate(model())?.render({ messages: [{ role: 'user', content: 'a' }] }),
    ],
  ])('gives typed errors for any change in %s', (name, run) => {
    expect(run).not.toThrow();
    const json: unknown = JSON.parse(readFileSync(model(name), 'utf8'));
    fc.assert(
      fc.property(paths, fc.jsonValue(), (path, value) => {
        surviveWith(name, JSON.stringify(replaced(json, path, value)), run);
      }),
      { numRuns: 200 },
    );
    fc.assert(
      fc.property(fc.string(), (text) => {
        surviveWith(name, text, run);
      }),
    );
  });
});
