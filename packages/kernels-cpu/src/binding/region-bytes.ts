import type { Region } from '@megascale/core';
import { refuse } from './native-error.js';

/** The bytes of a region that this backend can reach. @throws BackendError 'ERR_SHAPE' for one that is not in host memory. */
export function regionBytes(name: string, region: Region): Uint8Array {
  if (region.bytes === undefined) {
    return refuse(`${name} lies in ${region.memory} memory; the cpu backend needs host memory.`);
  }
  return region.bytes;
}
