/**
 * How rows are written and read, the same for all contenders (native/rows.hpp): a pattern that
 * stays in the core's own cache is copied into the rows, and every byte of them is read by looking
 * for one that the pattern has not.
 */
const patternBytes = 65_536;
/** In no pattern. */
const absentByte = 0xff;
/** The first byte of a message tells which it is, for a check. */
const marks = 251;

const pattern = new Uint8Array(patternBytes).map((_, index) => index % marks);

/** A stretch of rows. Its calls allocate nothing. */
export class Rows {
  readonly #first: Uint8Array;
  readonly #pieces: readonly (readonly [to: Uint8Array, from: Uint8Array])[];
  readonly #all: Buffer;

  constructor(slot: Uint8Array, byteOffset: number, byteLength: number) {
    const start = slot.byteOffset + byteOffset;
    this.#all = Buffer.from(slot.buffer, start, byteLength);
    this.#first = new Uint8Array(slot.buffer, start, 1);
    this.#pieces = Array.from({ length: Math.ceil(byteLength / patternBytes) }, (_, index) => {
      const at = index * patternBytes;
      const length = Math.min(patternBytes, byteLength - at);
      return [new Uint8Array(slot.buffer, start + at, length), pattern.subarray(0, length)];
    });
  }

  write(message: number): void {
    for (let index = 0; index < this.#pieces.length; index++) {
      const piece = this.#pieces[index];
      if (piece !== undefined) piece[0].set(piece[1]);
    }
    this.#first[0] = message % marks;
  }

  /** @throws Error when these are not the rows of this message. */
  read(message: number): void {
    if (this.#first[0] === message % marks && this.#all.indexOf(absentByte) < 0) return;
    throw new Error(`Message ${message} arrived with other bytes than were sent.`);
  }
}
