import type { LoadTraceHeader, LoadWindow } from '../expert-loads.js';
import { checkHeader, loadTraceFormat, windowBytesMax } from './load-trace-format.js';

const lengthBytesMax = 5;

/**
 * Encodes a load trace: the header once, then window by window. It allocates one buffer, for the
 * largest window.
 */
export class LoadTraceWriter {
  readonly #header: LoadTraceHeader;
  readonly #bytes: Uint8Array;
  #at = 0;
  #lastStartUs = 0;

  /** @throws ConfigError 'ERR_TRACE_CORRUPT' for sizes that the format has no room for. */
  constructor(header: LoadTraceHeader) {
    checkHeader(header);
    this.#header = header;
    this.#bytes = new Uint8Array(lengthBytesMax + windowBytesMax(header));
  }

  header(): Uint8Array {
    const bytes = new Uint8Array(loadTraceFormat.headerBytes);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, loadTraceFormat.magic, true);
    view.setUint16(4, loadTraceFormat.version, true);
    view.setUint16(6, loadTraceFormat.headerBytes, true);
    view.setUint32(8, this.#header.layerCount, true);
    view.setUint32(12, this.#header.expertCount, true);
    view.setUint32(16, this.#header.topK, true);
    return bytes;
  }

  /** The bytes of one window, valid until the next call. Windows start in order of time. */
  window(window: LoadWindow): Uint8Array {
    this.#at = lengthBytesMax;
    this.#write(Math.max(0, Math.round(window.startUs) - this.#lastStartUs));
    this.#write(Math.round(window.durationUs));
    this.#write(window.dispatches);
    this.#lastStartUs = Math.max(this.#lastStartUs, Math.round(window.startUs));
    const { layerCount, expertCount } = this.#header;
    for (let layer = 0; layer < layerCount; layer++) {
      this.#writeLayer(window.rows, layer * expertCount, (layer + 1) * expertCount);
    }
    return this.#withLength();
  }

  #writeLayer(rows: Int32Array, from: number, to: number): void {
    for (let index = from; index < to; index++) {
      const count = rows[index] ?? 0;
      this.#write(count);
      if (count !== 0) continue;
      const first = index;
      while (index + 1 < to && rows[index + 1] === 0) index++;
      this.#write(index - first);
    }
  }

  /** Puts the length in front of what was written. */
  #withLength(): Uint8Array {
    const end = this.#at;
    const length = end - lengthBytesMax;
    let lengthBytes = 1;
    for (let rest = length; rest > 0x7f; rest = Math.floor(rest / 128)) lengthBytes++;
    this.#at = lengthBytesMax - lengthBytes;
    const start = this.#at;
    this.#write(length);
    return this.#bytes.subarray(start, end);
  }

  /** LEB128: seven bits a byte, the lowest first; the eighth says that more follow. */
  #write(value: number): void {
    let rest = value;
    while (rest > 0x7f) {
      this.#bytes[this.#at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.#bytes[this.#at++] = rest;
  }
}
