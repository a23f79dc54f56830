import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  tensorBytes,
  writeSafetensors,
  type TensorToWrite,
} from '../safetensors/write-safetensors.js';

export interface WriteProgress {
  readonly bytesDone: number;
  readonly bytesTotal: number;
}

export interface CheckpointWriteOptions {
  /**
   * A new file is begun before one grows beyond this; a single larger tensor still gets its own.
   * Default 1 GB.
   */
  readonly shardBytesMax?: number;
  readonly onProgress?: (progress: WriteProgress) => void;
}

/**
 * Writes the tensors of a checkpoint: `dir`/model.safetensors, or shards and
 * model.safetensors.index.json where they do not fit in one file.
 */
export async function writeCheckpointTensors(
  dir: string,
  tensors: readonly TensorToWrite[],
  options: CheckpointWriteOptions = {},
): Promise<void> {
  const shards = splitShards(tensors, options.shardBytesMax ?? 1e9);
  const bytesTotal = tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0);
  let bytesDone = 0;
  const onBytes = (bytes: number): void => {
    bytesDone += bytes;
    options.onProgress?.({ bytesDone, bytesTotal });
  };
  const names = shards.map((_, index) => shardName(index, shards.length));
  const weightMap: Record<string, string> = {};
  for (const [index, shard] of shards.entries()) {
    const name = names[index] ?? '';
    await writeSafetensors(join(dir, name), shard, { onBytes });
    for (const tensor of shard) weightMap[tensor.name] = name;
  }
  if (shards.length === 1) return;
  const index = { metadata: { total_size: bytesTotal }, weight_map: weightMap };
  await writeFile(
    join(dir, 'model.safetensors.index.json'),
    `${JSON.stringify(index, undefined, 2)}\n`,
  );
}

function splitShards(
  tensors: readonly TensorToWrite[],
  shardBytesMax: number,
): readonly TensorToWrite[][] {
  let last: TensorToWrite[] = [];
  const shards = [last];
  let bytes = 0;
  for (const tensor of tensors) {
    const size = tensorBytes(tensor);
    if (last.length > 0 && bytes + size > shardBytesMax) {
      last = [];
      shards.push(last);
      bytes = 0;
    }
    last.push(tensor);
    bytes += size;
  }
  return shards;
}

function shardName(index: number, count: number): string {
  if (count === 1) return 'model.safetensors';
  const pad = (value: number): string => String(value).padStart(5, '0');
  return `model-${pad(index + 1)}-of-${pad(count)}.safetensors`;
}
