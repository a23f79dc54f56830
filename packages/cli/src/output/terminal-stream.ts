import { Writable } from 'node:stream';
import type { TextSink } from '../world.js';

/** A terminal as readline and progress bars want it: a stream. Its writes can be dropped. */
export class TerminalStream extends Writable {
  readonly isTTY = true;
  readonly #sink: TextSink;
  #muted = false;

  constructor(sink: TextSink) {
    super({ decodeStrings: false });
    this.#sink = sink;
  }

  /** Lines wrap at this width, in characters. */
  get columns(): number {
    return this.#sink.columns ?? 80;
  }

  mute(muted: boolean): void {
    this.#muted = muted;
  }

  override _write(chunk: string | Buffer, _encoding: string, done: () => void): void {
    if (!this.#muted) this.#sink.write(chunk.toString());
    done();
  }
}
