import { refuse } from '../reference/stage-door.js';
import type { Region } from '../spec/region.js';

/** @throws BackendError 'ERR_SHAPE' when slot memory is short. */
export function requireRegion(name: string, { byteLength }: Region, byteLengthMin: number): void {
  if (byteLength >= byteLengthMin) return;
  refuse(`Slot memory ${name}: found ${byteLength} bytes, expected at least ${byteLengthMin}.`);
}
