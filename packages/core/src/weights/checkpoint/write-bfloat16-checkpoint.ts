import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { buildModelGraph } from '../../families/registry.js';
import type { WeightRef } from '../../graph/ops.js';
import { requiredWeights } from './check-weights.js';
import { elementCount } from './tensor-location.js';
import { writeCheckpointTensors, type CheckpointWriteOptions } from './write-checkpoint-tensors.js';
import type { TensorToWrite } from '../safetensors/write-safetensors.js';

/** Writes elements [start, start + into.length) of a tensor, row by row, as bf16 bits. */
export type Bfloat16Fill = (tensor: WeightRef, into: Uint16Array, start: number) => void;

/** Elements made and written at once. */
const chunkElements = 1 << 20;

/**
 * Writes config.json and every tensor the model of `config` needs, in bf16, into `dir`, which is
 * made if absent. config.json comes last: a directory that has one is complete.
 *
 * @throws ConfigError when `config` is not that of a known model.
 */
export async function writeBfloat16Checkpoint(
  dir: string,
  config: Readonly<Record<string, unknown>>,
  fill: Bfloat16Fill,
  options: CheckpointWriteOptions = {},
): Promise<void> {
  const weights = requiredWeights(buildModelGraph(config));
  const absolute = resolve(dir);
  await mkdir(absolute, { recursive: true });
  const tensors = weights.map((ref) => bfloat16Tensor(ref, fill));
  await writeCheckpointTensors(absolute, tensors, options);
  await writeFile(join(absolute, 'config.json'), `${JSON.stringify(config, undefined, 2)}\n`);
}

/** A tensor for `writeCheckpointTensors`, made piece by piece. */
export function bfloat16Tensor(tensor: WeightRef, fill: Bfloat16Fill): TensorToWrite {
  const { name, shape } = tensor;
  const count = elementCount(shape);
  return {
    name,
    dtype: 'BF16',
    shape,
    *chunks() {
      const chunk = new Uint16Array(Math.min(count, chunkElements));
      for (let start = 0; start < count; start += chunk.length) {
        const part = chunk.subarray(0, Math.min(chunk.length, count - start));
        fill(tensor, part, start);
        yield new Uint8Array(part.buffer, 0, part.byteLength);
      }
    },
  };
}
