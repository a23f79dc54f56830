import { randomUUID } from 'node:crypto';
import { BroadcastChannel } from 'node:worker_threads';
import type { DoorbellWait, OwnedMemory, PeerMemory, SharedMemory } from './shared-memory.js';
import type { Location } from './location.js';
import { segmentWord } from '../protocol/wire-format.js';

const channelPrefix = 'megascale-m2n-';
const channelCharactersMax = 100;

interface SegmentMessage {
  readonly buffer: SharedArrayBuffer;
}

/** Threads of one process over `SharedArrayBuffer` and `Atomics.wait`: no native code. */
export const loopbackMemory = {
  name: 'loopback',

  create(byteLength: number): OwnedMemory {
    const buffer = new SharedArrayBuffer(byteLength);
    const name = `${channelPrefix}${randomUUID()}`;
    const channel = new BroadcastChannel(name);
    channel.onmessage = (event: unknown) => {
      if (dataOf(event) === 'segment-requested') channel.postMessage({ buffer });
    };
    return {
      buffer,
      location: { channel: name },
      unlist: () => {
        channel.close();
      },
    };
  },

  open(location: Location, byteLength): Promise<PeerMemory> {
    const name = location['channel'];
    if (typeof name !== 'string' || name.length > channelCharactersMax) {
      return Promise.reject(new Error('the address names no channel'));
    }
    const channel = new BroadcastChannel(name);
    return new Promise<PeerMemory>((resolve, reject) => {
      channel.onmessage = (event: unknown) => {
        const data = dataOf(event);
        if (!isSegmentMessage(data)) return;
        channel.close();
        if (data.buffer.byteLength === byteLength) {
          // The end of a thread cannot be seen from another one; a wait for it ends by its
          // deadline.
          resolve({ buffer: data.buffer, isAlive: () => true });
        } else {
          reject(new Error(`it has ${data.buffer.byteLength} bytes, not ${byteLength}`));
        }
      };
      channel.postMessage('segment-requested');
    });
  },

  waitForRing(words: Int32Array, { seen, timeoutUs }: DoorbellWait) {
    const { doorbellCount, doorbellParked } = segmentWord;
    Atomics.store(words, doorbellParked, 1);
    Atomics.wait(words, doorbellCount, seen, timeoutUs / 1000);
    Atomics.store(words, doorbellParked, 0);
  },

  wake(words: Int32Array) {
    Atomics.notify(words, segmentWord.doorbellCount);
  },
} satisfies SharedMemory;

function dataOf(event: unknown): unknown {
  return (event as { readonly data: unknown }).data;
}

function isSegmentMessage(data: unknown): data is SegmentMessage {
  return (
    typeof data === 'object' &&
    data !== null &&
    'buffer' in data &&
    data.buffer instanceof SharedArrayBuffer
  );
}
