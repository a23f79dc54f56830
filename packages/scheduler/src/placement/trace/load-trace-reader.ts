import { emptyWindow, type LoadTraceHeader, type LoadWindow } from '../expert-loads.js';
import { checkHeader, loadTraceFormat, traceCorrupt, windowBytesMax } from './load-trace-format.js';

/**
 * Reads a load trace from untrusted bytes: every length is checked before it is used,
 * and one window is in memory at a time.
 */
export class LoadTraceReader {
  readonly header: LoadTraceHeader;
  readonly #bytes: Uint8Array;
  #at: number;
  /** Nothing may be read from here on. */
  #end: number;
  #startUs = 0;
  #truncated = false;

  /**
   * @throws ConfigError 'ERR_TRACE_CORRUPT' when this is no load trace, or one of another version.
   */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#end = bytes.length;
    this.header = readHeader(bytes);
    this.#at = loadTraceFormat.headerBytes;
  }

  /** The last window is cut off, as when a recording server was killed. Known at the end. */
  get truncated(): boolean {
    return this.#truncated;
  }

  /**
   * Fills the window with the next one; false at the end.
   *
   * @throws ConfigError 'ERR_TRACE_CORRUPT' naming the byte.
   */
  next(window: LoadWindow): boolean {
    this.#end = this.#bytes.length;
    if (this.#at >= this.#end) return false;
    const length = this.#length();
    if (length === undefined || this.#at + length > this.#bytes.length) {
      this.#truncated = true;
      this.#at = this.#bytes.length;
      return false;
    }
    this.#end = this.#at + length;
    this.#startUs += this.#read(loadTraceFormat.timeUsMax - this.#startUs);
    window.startUs = this.#startUs;
    window.durationUs = this.#read(loadTraceFormat.timeUsMax);
    window.dispatches = this.#read(loadTraceFormat.rowsMax);
    const { layerCount, expertCount } = this.header;
    for (let layer = 0; layer < layerCount; layer++) {
      this.#readLayer(window.rows, layer * expertCount, (layer + 1) * expertCount);
    }
    if (this.#at !== this.#end) {
      throw traceCorrupt(
        `a window is ${this.#end - this.#at} bytes longer than its rows`,
        this.#at,
      );
    }
    return true;
  }

  /** Every window that is left, in one object that is filled again. */
  *windows(): Generator<LoadWindow, void> {
    const window = emptyWindow(this.header);
    while (this.next(window)) yield window;
  }

  #readLayer(rows: Int32Array, from: number, to: number): void {
    for (let index = from; index < to; index++) {
      const count = this.#read(loadTraceFormat.rowsMax);
      rows[index] = count;
      if (count !== 0) continue;
      const more = this.#read(to - index - 1);
      rows.fill(0, index, index + more + 1);
      index += more;
    }
  }

  /** Of the next window; undefined where the bytes end in it. */
  #length(): number | undefined {
    const max = windowBytesMax(this.header);
    let value = 0;
    for (let shift = 1; shift <= 128 ** 4; shift *= 128) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined) return undefined;
      this.#at++;
      value += (byte & 0x7f) * shift;
      if (byte < 0x80 && value <= max) return value;
      if (byte < 0x80) break;
    }
    throw traceCorrupt(`a window says that it is longer than ${max} bytes`, this.#at);
  }

  #read(max: number): number {
    let value = 0;
    for (let shift = 1; shift <= 128 ** 7; shift *= 128) {
      const byte = this.#at < this.#end ? this.#bytes[this.#at] : undefined;
      if (byte === undefined)
        throw traceCorrupt('a window ends in the middle of a number', this.#at);
      this.#at++;
      value += (byte & 0x7f) * shift;
      if (byte >= 0x80) continue;
      if (value <= max) return value;
      break;
    }
    throw traceCorrupt(`a number is greater than ${max}`, this.#at);
  }
}

function readHeader(bytes: Uint8Array): LoadTraceHeader {
  const { magic, version, headerBytes } = loadTraceFormat;
  if (bytes.length < headerBytes) throw traceCorrupt('it is shorter than its header', bytes.length);
  const view = new DataView(bytes.buffer, bytes.byteOffset, headerBytes);
  if (view.getUint32(0, true) !== magic) throw traceCorrupt('it is no load trace', 0);
  const found = view.getUint16(4, true);
  if (found !== version) throw traceCorrupt(`it is of version ${found}, not ${version}`, 4);
  if (view.getUint16(6, true) !== headerBytes) throw traceCorrupt('its header has another size', 6);
  for (let at = 20; at < headerBytes; at += 4) {
    if (view.getUint32(at, true) !== 0) throw traceCorrupt('its header has unknown fields', at);
  }
  const header = {
    layerCount: view.getUint32(8, true),
    expertCount: view.getUint32(12, true),
    topK: view.getUint32(16, true),
  };
  checkHeader(header);
  return header;
}
