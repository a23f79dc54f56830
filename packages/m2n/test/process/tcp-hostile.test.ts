import { createServer, connect, type Server, type Socket } from 'node:net';
import {
  attentionRank,
  expertRank,
  layerIndex,
  microBatchIndex,
  systemClock,
  type AttentionPort,
  type ExpertPort,
  type NetworkOptions,
} from '@megascale/core';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { tcp } from '../../src/transports/tcp.js';
import { frameKind } from '../../src/protocol/wire-format.js';
import { smallOptions } from '../support/one-thread.js';

const preSharedKey = 'a secret of at least sixteen bytes';
const layer = layerIndex(0);
const microBatch = microBatchIndex(0);
const headBytes = 64;

interface PairOptions {
  readonly attention?: NetworkOptions;
  readonly expert?: NetworkOptions;
  /** Once the expert rank listens: where the attention rank is to connect. */
  readonly through?: (port: number) => Promise<number>;
  readonly peerTimeoutMs?: number;
  readonly stopReason?: () => string | undefined;
}

interface Location {
  readonly location: { readonly port: number };
}

type Outcome<Port> = PromiseSettledResult<Port>;

/** Both ports of a pair in this thread. */
async function openPair(
  options: PairOptions,
): Promise<[Outcome<AttentionPort>, Outcome<ExpertPort>]> {
  const addresses: string[] = [];
  let meet: () => void = () => undefined;
  const met = new Promise<void>((resolve) => (meet = resolve));
  const plain = (index: number, network: NetworkOptions | undefined) => ({
    ...smallOptions,
    peerTimeoutMs: options.peerTimeoutMs ?? 5000,
    clock: systemClock,
    stopReason: options.stopReason ?? (() => undefined),
    allocate: (byteLength: number) => ({
      memory: 'host' as const,
      byteLength,
      bytes: new Uint8Array(byteLength),
    }),
    ...(network === undefined ? {} : { network }),
    rendezvous: {
      exchange: async (own: string) => {
        addresses[index] = index === 1 ? await redirected(own, options.through) : own;
        if (addresses[0] !== undefined && addresses[1] !== undefined) meet();
        await met;
        return { attention: [addresses[0] ?? ''], expert: [addresses[1] ?? ''] };
      },
    },
  });
  return Promise.allSettled([
    tcp.openAttention(attentionRank(0), plain(0, options.attention)),
    tcp.openExpert(expertRank(0), plain(1, options.expert ?? options.attention)),
  ]);
}

async function redirected(address: string, through: PairOptions['through']): Promise<string> {
  const parsed = JSON.parse(address) as Location;
  const port = (await through?.(parsed.location.port)) ?? parsed.location.port;
  return JSON.stringify({ ...parsed, location: { ...parsed.location, port } });
}

/** Passes bytes on both ways; `change` sees what the attention rank sends after its hello. */
class Proxy {
  change: (bytes: Buffer) => Buffer | undefined = (bytes) => bytes;
  readonly #sockets: Socket[] = [];
  #server: Server | undefined;
  #passed = 0;

  async listen(target: number, helloBytes: number): Promise<number> {
    this.#server = createServer((near) => {
      const far = connect(target, '127.0.0.1');
      this.#sockets.push(near, far);
      for (const socket of [near, far]) socket.on('error', () => undefined).setNoDelay(true);
      far.pipe(near);
      near.on('data', (bytes: Buffer) => {
        const isHello = this.#passed < helloBytes;
        this.#passed += bytes.length;
        const changed = isHello ? bytes : this.change(bytes);
        if (changed === undefined) far.end();
        else far.write(changed);
      });
      near.on('end', () => far.end());
    });
    const server = this.#server;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server?.close();
  }
}

const turn = (ms = 1): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function value<Port>(outcome: Outcome<Port>): Port {
  if (outcome.status === 'rejected') throw outcome.reason as Error;
  return outcome.value;
}

/** One dispatch; what the expert rank gets of it. */
function serveOne(attention: AttentionPort, expert: ExpertPort): number | undefined {
  const input = expert.receive();
  if (input !== undefined) expert.reply(input);
  attention.close();
  return input?.rowCount;
}

function dispatchTwo(attention: AttentionPort): void {
  const ids = attention.slots[0]?.expertIds.bytes;
  if (ids !== undefined) new Int32Array(ids.buffer, ids.byteOffset, 3).fill(1);
  attention.beginStep([microBatch]);
  attention.dispatch(layer, microBatch, 2);
}

describe.runIf(process.platform === 'linux')('tcp among strangers', () => {
  const ports: { close(): void }[] = [];
  afterEach(() => {
    for (const port of ports.splice(0)) port.close();
  });

  it.each([undefined, preSharedKey])(
    'opens and serves while 10,000 strangers knock (key: %s)',
    async (key) => {
      const network = key === undefined ? {} : { preSharedKey: key };
      const outcomes = await openPair({
        attention: network,
        through: async (port) => {
          await knock(port, 10_000);
          return port;
        },
        peerTimeoutMs: 20_000,
      });
      const [attention, expert] = [value(outcomes[0]), value(outcomes[1])];
      ports.push(attention, expert);
      dispatchTwo(attention);
      expect(serveOne(attention, expert)).toBe(2);
    },
    60_000,
  );

  it('refuses a peer with another key, by name and in time', async () => {
    const [attention, expert] = await openPair({
      attention: { preSharedKey },
      expert: { preSharedKey: 'quite another key of the same kind' },
      peerTimeoutMs: 1000,
    });
    expect(attention).toMatchObject({ reason: { code: 'ERR_PEER_CLOSED' } });
    expect((attention as PromiseRejectedResult).reason).toMatchObject({
      message: expect.stringContaining('keys differ') as string,
    });
    expect(expert).toMatchObject({ reason: { code: 'ERR_PEER_TIMEOUT' } });
  });

  it.each([
    [{ preSharedKey: 'short' }, 'network.preSharedKey'],
    [{ host: 'localhost' }, 'network.host'],
    [{ host: '0.0.0.0' }, 'network.host'],
    [{ port: 70_000 }, 'network.port'],
    [{ trafficClass: 256 }, 'network.trafficClass'],
    [{ congestionControl: 'a name that is too long' }, 'network.congestionControl'],
  ])('refuses %j', async (network, field) => {
    const [attention] = await openPair({ attention: network });
    expect(attention).toMatchObject({
      reason: { code: 'ERR_CONFIG_FIELD', message: expect.stringContaining(field) as string },
    });
  });

  const damage = fc.record({
    kind: fc.constantFrom('flip' as const, 'cut' as const, 'insert' as const, 'repeat' as const),
    at: fc.nat(),
    byte: fc.integer({ min: 1, max: 255 }),
  });

  it.each([preSharedKey, undefined])(
    'damaged bytes end the pair with a typed error, or do no harm where nothing protects them (key: %s)',
    async (key) => {
      await fc.assert(
        fc.asyncProperty(damage, async (harm) => {
          const outcome = await receiveDamaged(harm, key);
          if (key !== undefined) expect(outcome).not.toBe(2);
          if (outcome instanceof Error) {
            expect(outcome.name).toBe('TransportError');
            expect((outcome as Error & { readonly code?: string }).code).toBeOneOf([
              'ERR_FRAME_INVALID',
              'ERR_PEER_CLOSED',
            ]);
          } else {
            expect(outcome).toBe(2);
          }
        }),
        { numRuns: 150 },
      );
    },
    120_000,
  );
});

interface Damage {
  readonly kind: 'flip' | 'cut' | 'insert' | 'repeat';
  readonly at: number;
  readonly byte: number;
}

/** Rows received, or the error of receiving, where a frame's bytes were damaged on their way. */
async function receiveDamaged({ kind, at, byte }: Damage, key: string | undefined) {
  const proxy = new Proxy();
  let since = Number.POSITIVE_INFINITY;
  const forwarded: Buffer[] = [];
  const helloBytes = headBytes + (key === undefined ? 0 : 16);
  const outcomes = await openPair({
    attention: key === undefined ? {} : { preSharedKey: key },
    through: (port) => proxy.listen(port, helloBytes),
    // What waits for bytes that never come is told to stop.
    stopReason: () => (systemClock.nowUs() - since > 60_000 ? 'the case is over' : undefined),
  });
  const [attention, expert] = [value(outcomes[0]), value(outcomes[1])];
  try {
    proxy.change = (bytes) => {
      forwarded.push(bytes);
      const place = at % bytes.length;
      if (kind === 'cut') return bytes.subarray(0, place);
      if (kind === 'repeat') return Buffer.concat([bytes, bytes]);
      const copy = Buffer.from(bytes);
      if (kind === 'flip') copy[place] = (copy[place] ?? 0) ^ byte;
      else return Buffer.concat([copy.subarray(0, place), Buffer.of(byte), copy.subarray(place)]);
      return copy;
    };
    dispatchTwo(attention);
    while (forwarded.length === 0) await turn();
    await turn(2);
    since = systemClock.nowUs();
    const input = expert.receive();
    // The first copy may have been read before the second one came: that one must do nothing.
    if (kind !== 'repeat' || key === undefined || input?.rowCount !== 2) return input?.rowCount;
    expert.reply(input);
    return expert.receive()?.rowCount;
  } catch (error) {
    return error as Error;
  } finally {
    attention.close();
    expert.close();
    proxy.close();
  }
}

/** Connections that send what no rank sends, some of it with the first word of a hello. */
async function knock(port: number, count: number): Promise<void> {
  const batch = 50;
  for (let sent = 0; sent < count; sent += batch) {
    await Promise.all(Array.from({ length: batch }, (_, index) => knockOnce(port, sent + index)));
  }
}

function knockOnce(port: number, seed: number): Promise<void> {
  const bytes = Buffer.alloc((seed * 7) % 200, seed * 31);
  if (seed % 2 === 0 && bytes.length >= 4) bytes.writeInt32LE(frameKind.rows - 1 + 16, 0);
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.end(bytes);
    });
    socket.on('error', () => undefined);
    socket.resume();
    socket.on('close', () => {
      resolve();
    });
    setTimeout(() => {
      socket.destroy();
    }, 200).unref();
  });
}
