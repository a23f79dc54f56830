import { setTimeout as delay } from 'node:timers/promises';
import { TransportError, type TransportOptions } from '@megascale/core';
import {
  formatAddress,
  parseAddress,
  type Address,
  type Nonce,
  type Role,
} from '../protocol/address.js';
import { frameInvalid, peerClosed, peerTimeout, stopped } from './peer-errors.js';
import { Peer } from './peer.js';
import { shapeHash, type PortShape } from '../protocol/port-shape.js';
import type { SharedMemory } from '../memory/shared-memory.js';
import {
  protocolVersion,
  segmentMagic,
  segmentState,
  segmentWord,
} from '../protocol/wire-format.js';

/** How often an opening port looks whether its peers have mapped its memory. */
const mappedPollMs = 2;
/** How often a rendezvous in progress is interrupted to ask for a reason to stop. */
const stopPollMs = 50;

export interface JoinOptions {
  readonly memory: SharedMemory;
  readonly options: TransportOptions;
  readonly shape: PortShape;
  readonly nonce: Nonce;
  readonly self: { readonly role: Role; readonly rank: number; readonly byteLength: number };
  readonly peers: { readonly role: Role; readonly byteLength: number };
}

export interface Joined {
  /** Own segment, and its control words. */
  readonly buffer: ArrayBufferLike;
  readonly words: Int32Array;
  /** All ranks of the other pool. */
  readonly peers: readonly Peer[];
}

/**
 * Makes this worker's segment, trades addresses, maps the segments of the other pool, and returns
 * once all of them have mapped this one. The time until every worker has given its address is the
 * rendezvous's affair: it knows who is still loading weights. From then on `peerTimeoutMs` holds,
 * or `openingMsMin` where a memory needs longer.
 *
 * @throws TransportError 'ERR_PEER_TIMEOUT', 'ERR_PEER_CLOSED', 'ERR_PROTOCOL_VERSION',
 * 'ERR_FRAME_INVALID'
 */
export async function joinPeers(join: JoinOptions): Promise<Joined> {
  const { memory, shape, self, nonce } = join;
  const owned = memory.create(self.byteLength);
  const words = wordsOf(owned.buffer);
  try {
    writeHeader(words, join);
    const { role, rank } = self;
    const { location } = owned;
    const transport = memory.name;
    const version = protocolVersion;
    const address = { transport, version, role, rank, nonce, shape, location };
    const addresses = await exchange(join, formatAddress(address));
    const peers = await mapPeers(join, addresses);
    await untilMapped(join, words, peers);
    return { buffer: owned.buffer, words, peers };
  } catch (error) {
    Atomics.store(words, segmentWord.state, segmentState.closed);
    memory.close?.();
    throw error;
  } finally {
    owned.unlist();
  }
}

function writeHeader(words: Int32Array, { shape, self, nonce }: JoinOptions): void {
  words[segmentWord.magic] = segmentMagic[self.role];
  words[segmentWord.version] = protocolVersion;
  words[segmentWord.nonceLow] = nonce[0];
  words[segmentWord.nonceHigh] = nonce[1];
  words[segmentWord.layoutHash] = shapeHash(shape);
  words[segmentWord.rank] = self.rank;
  Atomics.store(words, segmentWord.state, segmentState.open);
}

/** The addresses of the other pool, checked. */
async function exchange(join: JoinOptions, own: string): Promise<readonly Address[]> {
  const { memory, shape, peers, options } = join;
  const { role } = peers;
  const name = nameOf(join);
  const all = await unlessStopped(options.rendezvous.exchange(own), {
    waiter: name,
    stopReason: options.stopReason,
  });
  const texts = role === 'attention' ? all.attention : all.expert;
  const count = role === 'attention' ? shape.attentionWorkerCount : shape.expertWorkerCount;
  if (texts.length !== count) {
    throw frameInvalid(
      `The rendezvous gave ${name} ${texts.length} addresses of ${role} workers instead of ${count}`,
      'Give every port the same worker counts.',
    );
  }
  return texts.map((text, rank) =>
    parseAddress(text, { transport: memory.name, role, rank, shape }),
  );
}

async function mapPeers(join: JoinOptions, addresses: readonly Address[]): Promise<Peer[]> {
  const { memory, self, peers, options } = join;
  return Promise.all(
    addresses.map(async (address) => {
      const name = `${address.role} rank ${address.rank}`;
      const opened = await unlessStopped(memory.open(address.location, peers.byteLength, address), {
        waiter: nameOf(join),
        stopReason: options.stopReason,
        limit: { peer: name, timeoutMs: openingLimitMs(join) },
      }).catch((cause: unknown) => {
        throw unreachable(name, cause);
      });
      const peer = new Peer(name, opened, memory);
      checkHeader(peer, address, shapeHash(join.shape));
      Atomics.store(peer.words, segmentWord.peerMapped + self.rank, 1);
      return peer;
    }),
  );
}

function checkHeader(peer: Peer, address: Address, layoutHash: number): void {
  const expected: readonly [string, number, number][] = [
    ['magic', segmentWord.magic, segmentMagic[address.role]],
    ['version', segmentWord.version, address.version],
    ['nonce', segmentWord.nonceLow, address.nonce[0]],
    ['nonce', segmentWord.nonceHigh, address.nonce[1]],
    ['layout', segmentWord.layoutHash, layoutHash],
    ['rank', segmentWord.rank, address.rank],
  ];
  const wrong = expected.find(([, word, value]) => Atomics.load(peer.words, word) !== value);
  if (wrong === undefined) return;
  throw frameInvalid(
    `The memory found at the address of ${peer.name} is not its segment: the ${wrong[0]} differs`,
    'It may have ended meanwhile; start that worker again.',
  );
}

/** Returns once all peers have mapped this worker's segment. */
async function untilMapped(join: JoinOptions, words: Int32Array, peers: readonly Peer[]) {
  const { clock, stopReason } = join.options;
  const limitMs = openingLimitMs(join);
  const waiter = nameOf(join);
  const beganUs = clock.nowUs();
  for (;;) {
    const missing = firstUnmapped(words, peers.length);
    const peer = peers[missing];
    if (peer === undefined) return;
    const waitedMs = (clock.nowUs() - beganUs) / 1000;
    const reason = stopReason();
    if (reason !== undefined) throw stopped(waiter, reason);
    if (peer.isClosed) throw peerClosed({ waiter, peer: peer.name, waitedMs });
    if (peer.isLost) throw peer.loss({ waiter, waitedMs });
    if (!peer.isAlive) {
      throw peerClosed({ waiter, peer: peer.name, waitedMs, note: 'its thread has ended' });
    }
    if (waitedMs >= limitMs) {
      const note = 'it has not opened its port';
      throw peerTimeout({ waiter, peer: peer.name, waitedMs, note });
    }
    await delay(mappedPollMs);
  }
}

function firstUnmapped(words: Int32Array, count: number): number {
  for (let rank = 0; rank < count; rank++) {
    if (Atomics.load(words, segmentWord.peerMapped + rank) === 0) return rank;
  }
  return -1;
}

function openingLimitMs({ memory, options }: JoinOptions): number {
  return Math.max(options.peerTimeoutMs, memory.openingMsMin ?? 0);
}

interface StopOptions {
  readonly waiter: string;
  readonly stopReason: () => string | undefined;
  /** Whom the work waits for and how long it may. */
  readonly limit?: { readonly peer: string; readonly timeoutMs: number };
}

/** The result of `work`, or an error once there is a reason to stop or the time is up. */
async function unlessStopped<Result>(
  work: Promise<Result>,
  { waiter, stopReason, limit }: StopOptions,
): Promise<Result> {
  const timers: NodeJS.Timeout[] = [];
  const stop = new Promise<never>((_, reject) => {
    const ask = (): void => {
      const reason = stopReason();
      if (reason !== undefined) reject(stopped(waiter, reason));
    };
    timers.push(setInterval(ask, stopPollMs));
    if (limit === undefined) return;
    const { peer, timeoutMs } = limit;
    const end = (): void => {
      reject(peerTimeout({ waiter, peer, waitedMs: timeoutMs }));
    };
    timers.push(setTimeout(end, timeoutMs));
  });
  try {
    return await Promise.race([work, stop]);
  } finally {
    for (const timer of timers) clearTimeout(timer);
  }
}

function nameOf({ self }: JoinOptions): string {
  return `${self.role} rank ${self.rank}`;
}

function unreachable(name: string, cause: unknown): unknown {
  if (cause instanceof TransportError) return cause;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new TransportError('ERR_PEER_CLOSED', {
    message:
      `The memory of ${name} cannot be reached: ${why}. Over loopback and shm all workers run on this machine as the same ` +
      `user, and see each other in /proc; over a network its address must be reachable from here.`,
    details: { peer: name },
    cause,
  });
}

function wordsOf(buffer: ArrayBufferLike): Int32Array {
  return new Int32Array(buffer, 0, Math.floor(buffer.byteLength / Int32Array.BYTES_PER_ELEMENT));
}
