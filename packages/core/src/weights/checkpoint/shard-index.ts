import { existsSync } from 'node:fs';
import { dirname, isAbsolute, relative, resolve, sep } from 'node:path';
import { corruptFile, missingCheckpoint } from './checkpoint-errors.js';
import { readJsonObject } from './read-json-object.js';
import { readSafetensorsHeader } from '../safetensors/read-safetensors-header.js';
import type { SafetensorsHeader } from '../safetensors/safetensors-header.js';

/**
 * Reads model.safetensors.index.json and the headers of all shards it names: absolute path →
 * header. The map and the headers must agree on every tensor, and no shard may lie outside the
 * index's directory.
 *
 * @throws ConfigError 'ERR_CHECKPOINT_MISSING' for an absent shard, else 'ERR_CHECKPOINT_CORRUPT'.
 */
export function readShardIndex(indexFile: string): ReadonlyMap<string, SafetensorsHeader> {
  const shardOf = readWeightMap(indexFile);
  const headers = new Map<string, SafetensorsHeader>();
  for (const shard of new Set(shardOf.values())) {
    if (!existsSync(shard)) {
      throw missingCheckpoint(
        `${indexFile} names the shard ${shard}, which is not there`,
        'Fetch the missing shard.',
      );
    }
    headers.set(shard, readSafetensorsHeader(shard));
  }
  requireAgreement(indexFile, shardOf, headers);
  return headers;
}

/** Tensor name → absolute path of its shard. */
function readWeightMap(indexFile: string): ReadonlyMap<string, string> {
  const { weight_map: map } = readJsonObject(indexFile);
  if (typeof map !== 'object' || map === null || Array.isArray(map)) {
    throw corruptFile(indexFile, 'weight_map is not an object');
  }
  const dir = dirname(indexFile);
  return new Map(
    Object.entries(map).map(([name, shard]: [string, unknown]) => {
      if (typeof shard !== 'string') {
        throw corruptFile(indexFile, `weight_map gives no file for tensor ${name}`);
      }
      return [name, shardPath(indexFile, dir, shard)];
    }),
  );
}

function shardPath(indexFile: string, dir: string, shard: string): string {
  const path = resolve(dir, shard);
  const inside = relative(dir, path);
  const escapes = inside === '' || inside === '..' || inside.startsWith(`..${sep}`);
  if (shard.includes('\0') || isAbsolute(shard) || isAbsolute(inside) || escapes) {
    throw corruptFile(
      indexFile,
      `it names the shard ${JSON.stringify(shard)} outside its directory`,
    );
  }
  return path;
}

function requireAgreement(
  indexFile: string,
  shardOf: ReadonlyMap<string, string>,
  headers: ReadonlyMap<string, SafetensorsHeader>,
): void {
  for (const [name, shard] of shardOf) {
    if (headers.get(shard)?.tensors.has(name) !== true) {
      throw corruptFile(indexFile, `tensor ${name} is not in ${shard}`, { tensor: name });
    }
  }
  for (const [shard, header] of headers) {
    for (const name of header.tensors.keys()) {
      if (shardOf.get(name) !== shard) {
        throw corruptFile(indexFile, `tensor ${name} of ${shard} is not in its weight_map`, {
          tensor: name,
        });
      }
    }
  }
}
