import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigError } from '../../../../src/errors.js';
import { requireModelDirectory } from '../../../../src/weights/checkpoint/model-directory.js';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'megascale-model-directory-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

function refusal(path: string): string {
  try {
    requireModelDirectory(path);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.code).toBe('ERR_CHECKPOINT_MISSING');
    return error.message;
  }
  throw new Error('nothing was refused');
}

describe('a MODEL that is no model directory', () => {
  it('is downloaded first when it is a name of the hub', () => {
    const message = refusal('mistralai/Mixtral-8x7B-v0.1');
    expect(message).toContain(
      'hf download mistralai/Mixtral-8x7B-v0.1 --local-dir Mixtral-8x7B-v0.1 && megascale serve Mixtral-8x7B-v0.1',
    );
    expect(message).toContain('config.json, tokenizer.json');
  });

  it('is a wrong path when it looks like a path', () => {
    for (const path of [join(dir, 'absent'), './models/absent', 'absent', 'packages/absent']) {
      expect(refusal(path)).toContain('Check the path.');
    }
  });

  it('is taken from its source when it is a GGUF file', () => {
    writeFileSync(join(dir, 'model.gguf'), '');
    expect(refusal(join(dir, 'model.gguf'))).toContain('GGUF files are not read. Download');
    expect(refusal(dir)).toContain('GGUF files are not read. Download');
  });

  it.each(['model.safetensors', 'config.json'])('is the directory of %s', (name) => {
    writeFileSync(join(dir, name), '');
    expect(refusal(join(dir, name))).toContain(`Give the directory it lies in: ${dir}.`);
  });

  it('is filled when it is empty', () => {
    expect(refusal(dir)).toContain(
      `has no config.json: it is empty. Download a model into it: hf download ORG/NAME --local-dir ${dir}.`,
    );
  });

  it("is a revision when it is the hub's cache", () => {
    mkdirSync(join(dir, 'snapshots', 'abc'), { recursive: true });
    expect(refusal(dir)).toContain(`Give ${join(dir, 'snapshots', 'abc')}.`);
  });

  it('needs the layout when it holds something else', () => {
    writeFileSync(join(dir, 'notes.txt'), '');
    expect(refusal(dir)).toContain('A model directory holds config.json');
  });
});
