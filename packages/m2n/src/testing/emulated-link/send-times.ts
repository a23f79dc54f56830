import type {
  OwnedMemory,
  PeerAddress,
  PeerMemory,
  DoorbellWait,
  PortContext,
  SharedMemory,
} from '../../memory/shared-memory.js';
import type { Location } from '../../memory/location.js';
import { shmMemory } from '../../memory/shm-memory.js';
import type { PortShape } from '../../protocol/port-shape.js';
import { ringFrames } from '../../protocol/wire-format.js';

/**
 * When the messages of one attention rank's pairs were sent, in µs of the machine's monotonic
 * clock. The attention rank writes the times of its frames, each expert rank those of its replies;
 * each time is stored before its message is published and read after the message was seen.
 */
export class SendTimes {
  /** [expert ranks, ringFrames + slotCount] */
  readonly #times: Float64Array;
  readonly #slotCount: number;

  constructor(buffer: ArrayBufferLike, { expertWorkerCount, slotCount }: PortShape) {
    this.#times = new Float64Array(buffer, 0, expertWorkerCount * (ringFrames + slotCount));
    this.#slotCount = slotCount;
  }

  static byteLength({ expertWorkerCount, slotCount }: PortShape): number {
    return expertWorkerCount * (ringFrames + slotCount) * Float64Array.BYTES_PER_ELEMENT;
  }

  frameSentUs(expertRank: number, sequence: number): number {
    return this.#times[this.#frame(expertRank, sequence)] ?? 0;
  }

  setFrameSentUs(expertRank: number, sequence: number, us: number): void {
    this.#times[this.#frame(expertRank, sequence)] = us;
  }

  replySentUs(expertRank: number, microBatch: number): number {
    return this.#times[this.#reply(expertRank, microBatch)] ?? 0;
  }

  setReplySentUs(expertRank: number, microBatch: number, us: number): void {
    this.#times[this.#reply(expertRank, microBatch)] = us;
  }

  #frame(expertRank: number, sequence: number): number {
    return expertRank * (ringFrames + this.#slotCount) + (sequence & (ringFrames - 1));
  }

  #reply(expertRank: number, microBatch: number): number {
    return expertRank * (ringFrames + this.#slotCount) + ringFrames + microBatch;
  }
}

/**
 * A port's memory with a second segment beside each attention segment, which holds `SendTimes`.
 * What the ports write for each other stays as it is. Over a network the second segment is shared
 * memory of the machine, so that all workers must run on one.
 */
export class TimedMemory implements SharedMemory {
  readonly name: string;
  readonly waitsDrive: boolean;
  readonly openingMsMin: number;
  readonly #memory: SharedMemory;
  readonly #timesMemory: SharedMemory;
  readonly #context: PortContext;
  /** [attention ranks]; an attention rank knows its own alone. */
  readonly #times: SendTimes[] = [];

  constructor(memory: SharedMemory, context: PortContext) {
    this.name = memory.name;
    this.waitsDrive = memory.waitsDrive ?? false;
    this.openingMsMin = memory.openingMsMin ?? 0;
    this.#memory = memory;
    this.#timesMemory = this.waitsDrive ? shmMemory : memory;
    this.#context = context;
  }

  /** Of this attention rank, once its segments are there. */
  timesOf(attentionRank: number): SendTimes {
    const times = this.#times[attentionRank];
    if (times === undefined) throw new RangeError(`Attention rank ${attentionRank} is not open.`);
    return times;
  }

  create(byteLength: number): OwnedMemory {
    const owned = this.#memory.create(byteLength);
    const { role, rank, shape } = this.#context;
    if (role === 'expert') return owned;
    const times = this.#timesMemory.create(SendTimes.byteLength(shape));
    this.#times[rank] = new SendTimes(times.buffer, shape);
    return {
      buffer: owned.buffer,
      location: { segment: owned.location, sendTimes: times.location },
      unlist: () => {
        owned.unlist();
        times.unlist();
      },
    };
  }

  async open(location: Location, byteLength: number, peer: PeerAddress): Promise<PeerMemory> {
    if (peer.role === 'expert') return this.#memory.open(location, byteLength, peer);
    const { shape } = this.#context;
    const [opened, times] = await Promise.all([
      this.#memory.open(partOf(location, 'segment'), byteLength, peer),
      this.#timesMemory.open(partOf(location, 'sendTimes'), SendTimes.byteLength(shape), peer),
    ]);
    this.#times[peer.rank] = new SendTimes(times.buffer, shape);
    return opened;
  }

  waitForRing(words: Int32Array, wait: DoorbellWait): void {
    this.#memory.waitForRing(words, wait);
  }

  wake(words: Int32Array): void {
    this.#memory.wake(words);
  }

  close(): void {
    this.#memory.close?.();
  }
}

/** One of the two locations in an address, which comes from outside. */
function partOf(location: Location, part: 'segment' | 'sendTimes'): Location {
  const value = location[part];
  if (typeof value === 'object' && value !== null) return value as Location;
  throw new Error('it has no emulated link, which this worker has; give all workers the same one');
}
