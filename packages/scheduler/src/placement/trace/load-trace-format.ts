import { ConfigError } from '@megascale/core';
import type { LoadTraceHeader } from '../expert-loads.js';

/** The byte layout is drawn in docs/expert-placement.md. */
export const loadTraceFormat = {
  /** 'MSEL', little-endian. */
  magic: 0x4c45534d,
  version: 1,
  headerBytes: 32,
  layersMax: 1024,
  expertsMax: 4096,
  /** layers × experts */
  cellsMax: 1 << 20,
  topKMax: 64,
  rowsMax: 2 ** 31 - 1,
  timeUsMax: Number.MAX_SAFE_INTEGER,
} as const;

/** Bytes of one window at most, after its length. */
export function windowBytesMax({ layerCount, expertCount }: LoadTraceHeader): number {
  return 3 * 8 + 5 * layerCount * expertCount;
}

/** @throws ConfigError 'ERR_TRACE_CORRUPT' for sizes outside the format's limits. */
export function checkHeader(header: LoadTraceHeader): void {
  const { layersMax, expertsMax, topKMax, cellsMax } = loadTraceFormat;
  checkSize('layers', header.layerCount, layersMax);
  checkSize('experts', header.expertCount, expertsMax);
  checkSize('experts of a token', header.topK, Math.min(topKMax, header.expertCount));
  checkSize('layers × experts', header.layerCount * header.expertCount, cellsMax);
}

function checkSize(what: string, value: number, max: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= max) return;
  throw traceCorrupt(`it has ${value} ${what}, and 1 to ${max} are possible`, 0);
}

export function traceCorrupt(what: string, offset: number): ConfigError {
  return new ConfigError('ERR_TRACE_CORRUPT', {
    message: `The load trace cannot be read: ${what} (at byte ${offset}). Record it again.`,
    details: { offset },
  });
}
