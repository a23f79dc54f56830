import { setTimeout as delay } from 'node:timers/promises';
import { TransportError } from '@megascale/core';
import { fabricBinding, type FabricPort } from './fabric-binding.js';
import type {
  DoorbellWait,
  OwnedMemory,
  PeerAddress,
  PeerMemory,
  PortContext,
  SharedMemory,
} from './shared-memory.js';
import type { Location } from './location.js';

const openPollMs = 1;
const defaultHost = '127.0.0.1';

/** Memory of one port whose copies at its peers are kept alike by libfabric. */
export class FabricMemory implements SharedMemory {
  readonly name = 'fabric';
  readonly waitsDrive = true;
  /** Providers make connections at the first message, some in hundreds of milliseconds. */
  readonly openingMsMin = 5000;
  readonly #port: FabricPort;
  readonly #provider: string;
  /** Copy of a segment → its rank. */
  readonly #ranks = new Map<ArrayBufferLike, number>();

  /** @throws TransportError 'ERR_PEER_CLOSED' without a provider that can do it. */
  constructor(context: PortContext, sendsApart = false) {
    this.#port = openPort(context, sendsApart);
    this.#provider = this.#port.place().provider;
  }

  create(byteLength: number): OwnedMemory {
    const buffer = this.#port.buffer();
    if (buffer.byteLength !== byteLength) {
      throw new Error(
        `The segment has ${buffer.byteLength} bytes in native code, not ${byteLength}.`,
      );
    }
    return { buffer, location: this.#port.place(), unlist: () => undefined };
  }

  async open(location: Location, byteLength: number, peer: PeerAddress): Promise<PeerMemory> {
    const port = this.#port;
    const { rank, nonce } = peer;
    if (location['provider'] !== this.#provider) {
      const theirs = JSON.stringify(location['provider'] ?? 'missing').slice(0, 60);
      throw new Error(
        `its libfabric provider is ${theirs}, here it is "${this.#provider}"; name one with network.provider`,
      );
    }
    port.open(rank, location, nonce[0], nonce[1]);
    const buffer = port.mirror(rank);
    if (buffer.byteLength !== byteLength) {
      throw new Error(`it has ${buffer.byteLength} bytes, not ${byteLength}`);
    }
    this.#ranks.set(buffer, rank);
    while (!port.isOpen(rank)) {
      const loss = port.loss(rank);
      if (loss !== undefined) throw new TransportError(loss.code, { message: loss.why });
      await delay(openPollMs);
    }
    return {
      buffer,
      isAlive: () => true,
      lostBecause: () =>
        port.loss(rank) ?? { code: 'ERR_PEER_CLOSED', why: 'it cannot be reached any more' },
    };
  }

  waitForRing(_words: Int32Array, { seen, spinUs, timeoutUs, spinYields }: DoorbellWait): void {
    this.#port.waitForRing(seen, spinUs, timeoutUs, spinYields);
  }

  wake(words: Int32Array): void {
    const rank = this.#ranks.get(words.buffer);
    if (rank !== undefined) this.#port.send(rank);
  }

  close(): void {
    this.#port.close();
  }
}

function openPort(context: PortContext, sendsApart: boolean): FabricPort {
  const { role, rank, shape, options } = context;
  const { provider = '', host, port, trafficClass = -1 } = options.network ?? {};
  const { FabricPort, fabricTrouble } = fabricBinding();
  if (FabricPort === undefined) throw unavailable(fabricTrouble(provider) ?? 'it is absent');
  try {
    return new FabricPort({
      isAttention: role === 'attention',
      rank,
      shape,
      bringsWeights: options.combine === 'expert',
      provider,
      host: host ?? defaultHost,
      port: port === undefined || port === 0 ? '' : String(port),
      trafficClass,
      sendsApart,
    });
  } catch (error) {
    throw unavailable(error instanceof Error ? error.message : String(error));
  }
}

function unavailable(why: string): TransportError {
  return new TransportError('ERR_PEER_CLOSED', {
    message: `No port of the transport fabric can be opened: ${why}.`,
  });
}
