import { closeSync, openSync, writeSync } from 'node:fs';
import { ConfigError } from '@megascale/core';
import { LoadTraceWriter, type LoadTraceHeader, type LoadWindow } from '@megascale/scheduler';

/**
 * Writes a load trace while the engine runs, up to a number of bytes. A write error ends the trace,
 * not the engine.
 */
export class LoadTraceFile {
  readonly #writer: LoadTraceWriter;
  readonly #bytesMax: number;
  #file: number | undefined;
  #bytes = 0;
  #state: 'recording' | 'full' | 'failed' | 'closed' = 'recording';

  /** @throws ConfigError 'ERR_CONFIG_FIELD' when the file cannot be created. */
  constructor(path: string, header: LoadTraceHeader, bytesMax: number) {
    this.#writer = new LoadTraceWriter(header);
    this.#bytesMax = bytesMax;
    try {
      this.#file = openSync(path, 'w');
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new ConfigError('ERR_CONFIG_FIELD', {
        message: `Option expertLoadFile: ${path} cannot be written (${reason}). Name another file.`,
        details: { path: 'expertLoadFile', file: path },
        cause,
      });
    }
    this.#write(this.#writer.header());
  }

  get state(): 'recording' | 'full' | 'failed' | 'closed' {
    return this.#state;
  }

  add(window: LoadWindow): void {
    if (this.#state === 'recording') this.#write(this.#writer.window(window));
  }

  close(): void {
    this.#end('closed');
  }

  #write(bytes: Uint8Array): void {
    if (this.#file === undefined) return;
    if (this.#bytes + bytes.length > this.#bytesMax) {
      this.#end('full');
      return;
    }
    try {
      writeSync(this.#file, bytes);
      this.#bytes += bytes.length;
    } catch {
      this.#end('failed');
    }
  }

  #end(state: 'full' | 'failed' | 'closed'): void {
    if (this.#file === undefined) return;
    closeSync(this.#file);
    this.#file = undefined;
    this.#state = state;
  }
}
