const capacityBytes = 1 << 16;
const lengthBytes = 4;

/**
 * Messages from many ranks to one, in shared memory. Only who has the turn writes or reads, so that
 * the order is the simulation's. One reader, with an object of its own.
 */
export class Mailbox<Message> {
  readonly #length: Int32Array;
  readonly #bytes: Uint8Array;
  #read = 0;

  constructor(memory: SharedArrayBuffer) {
    this.#length = new Int32Array(memory, 0, 1);
    this.#bytes = new Uint8Array(memory, lengthBytes);
  }

  static memory(): SharedArrayBuffer {
    return new SharedArrayBuffer(lengthBytes + capacityBytes);
  }

  get isEmpty(): boolean {
    return this.#read === this.#length[0];
  }

  post(message: Message): void {
    const line = new TextEncoder().encode(`${JSON.stringify(message)}\n`);
    const from = this.#length[0] ?? 0;
    if (from + line.length > capacityBytes) throw new Error('The mailbox is full.');
    this.#bytes.set(line, from);
    this.#length[0] = from + line.length;
  }

  /** All that came since. */
  take(): Message[] {
    const to = this.#length[0] ?? 0;
    const text = new TextDecoder().decode(this.#bytes.slice(this.#read, to));
    this.#read = to;
    const lines = text.split('\n').filter((line) => line !== '');
    return lines.map((line) => JSON.parse(line) as Message);
  }
}

export function mailboxAt(mailboxes: readonly SharedArrayBuffer[], place: number) {
  const memory = mailboxes[place];
  if (memory === undefined) throw new Error(`The world has no place ${place}.`);
  return memory;
}
