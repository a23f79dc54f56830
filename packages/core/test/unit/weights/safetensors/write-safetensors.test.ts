import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readSafetensorsHeader } from '../../../../src/weights/safetensors/read-safetensors-header.js';
import {
  writeCheckpointTensors,
  type WriteProgress,
} from '../../../../src/weights/checkpoint/write-checkpoint-tensors.js';
import {
  writeSafetensors,
  type TensorToWrite,
} from '../../../../src/weights/safetensors/write-safetensors.js';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'megascale-write-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

function zeros(name: string, shape: readonly number[], bytes: number): TensorToWrite {
  return { name, dtype: 'F32', shape, chunks: () => [new Uint8Array(bytes)] };
}

describe('writeSafetensors', () => {
  it('writes what the reader accepts, one piece overwriting the last', async () => {
    const file = join(dir, 'a.safetensors');
    const counting: TensorToWrite = {
      name: 'count',
      dtype: 'F32',
      shape: [3, 2],
      *chunks() {
        const piece = new Uint8Array(8);
        for (let i = 0; i < 3; i++) yield piece.fill(i + 1);
      },
    };
    await writeSafetensors(file, [counting, zeros('none', [0], 0)]);
    const header = readSafetensorsHeader(file);
    const { byteOffset = 0, byteLength = 0 } = header.tensors.get('count') ?? {};
    const data = readFileSync(file).subarray(byteOffset, byteOffset + byteLength);
    expect([...data]).toEqual([1, 2, 3].flatMap((value) => new Array<number>(8).fill(value)));
    expect(header.tensors.get('none')?.byteLength).toBe(0);
  });

  it.each([
    ['too few', 4],
    ['too many', 12],
  ])('leaves no file behind when a tensor has %s bytes', async (_, bytes) => {
    const file = join(dir, 'a.safetensors');
    await expect(writeSafetensors(file, [zeros('a', [2], bytes)])).rejects.toThrow(
      `takes 8 bytes, its pieces have ${bytes}`,
    );
    expect(readdirSync(dir)).toEqual([]);
  });
});

describe('writeCheckpointTensors', () => {
  it('opens a shard per limit, gives a larger tensor its own, and reports every byte', async () => {
    const progress: WriteProgress[] = [];
    const tensors = [
      zeros('a', [2], 8),
      zeros('b', [2], 8),
      zeros('big', [10], 40),
      zeros('c', [1], 4),
    ];
    await writeCheckpointTensors(dir, tensors, {
      shardBytesMax: 16,
      onProgress: (state) => progress.push(state),
    });
    const index = JSON.parse(readFileSync(join(dir, 'model.safetensors.index.json'), 'utf8')) as {
      weight_map: Record<string, string>;
      metadata: unknown;
    };
    expect(index.weight_map).toEqual({
      a: 'model-00001-of-00003.safetensors',
      b: 'model-00001-of-00003.safetensors',
      big: 'model-00002-of-00003.safetensors',
      c: 'model-00003-of-00003.safetensors',
    });
    expect(index.metadata).toEqual({ total_size: 60 });
    expect(progress.at(-1)).toEqual({ bytesDone: 60, bytesTotal: 60 });
  });

  it('writes no index where one file is enough', async () => {
    await writeCheckpointTensors(dir, [zeros('a', [2], 8)]);
    expect(existsSync(join(dir, 'model.safetensors.index.json'))).toBe(false);
    expect(readdirSync(dir)).toEqual(['model.safetensors']);
  });
});
