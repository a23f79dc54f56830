import { isIP } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { ConfigError, TransportError } from '@megascale/core';
import { shapeHash } from '../protocol/port-shape.js';
import type {
  DoorbellWait,
  OwnedMemory,
  PeerAddress,
  PeerMemory,
  PortContext,
  SharedMemory,
} from './shared-memory.js';
import type { Location } from './location.js';
import { tcpBinding, type TcpEngine } from './tcp-binding.js';
import { endAtExit } from './tcp-exit.js';
import { pairKeys } from './tcp-keys.js';
import { checkMessageBytes, tcpOptions, type TcpOptions } from './tcp-options.js';
import { segmentState, segmentWord } from '../protocol/wire-format.js';

const connectPollMs = 1;
/**
 * A peer at rest is heard of four times as often. Longer than `peerTimeoutMs`, whose error says
 * more.
 */
const silencePerTimeout = 1.25;

/**
 * The memory of one port on a network: the engine's threads keep this port's mirrors of its peers'
 * segments, and the peers' mirrors of its own, alike.
 */
export class TcpMemory implements SharedMemory {
  readonly name = 'tcp';
  readonly waitsDrive = true;
  readonly #options: TcpOptions;
  readonly #layoutHash: number;
  #engine: TcpEngine | undefined;
  readonly #rankOf = new Map<ArrayBufferLike, number>();
  #isClosed = false;

  readonly #context: PortContext;

  /** @throws ConfigError 'ERR_CONFIG_FIELD' */
  constructor(context: PortContext) {
    this.#context = context;
    this.#options = tcpOptions(context.options.network);
    checkMessageBytes(context.shape);
    this.#layoutHash = shapeHash(context.shape);
  }

  create(): OwnedMemory {
    const engine = this.#start();
    const { role } = this.#context;
    const location =
      role === 'expert' ? { host: this.#options.host, port: engine.boundPort() } : {};
    return {
      buffer: engine.ownBuffer(),
      location,
      unlist: () => {
        engine.stopListening();
      },
    };
  }

  async open(location: Location, byteLength: number, peer: PeerAddress): Promise<PeerMemory> {
    const engine = this.#running();
    const { rank, nonce } = peer;
    const buffer = engine.addPeer({
      rank,
      nonceLow: nonce[0],
      nonceHigh: nonce[1],
      ...endpointOf(peer.role, location),
      keys: this.#keysFor(peer),
    });
    if (buffer.byteLength !== byteLength) throw new Error('the layouts differ');
    this.#rankOf.set(buffer, rank);
    const words = new Int32Array(buffer, 0, segmentWord.peerMapped);
    while (Atomics.load(words, segmentWord.state) === segmentState.opening && !this.#isClosed) {
      await delay(connectPollMs);
    }
    const lostBecause = () => engine.lossOf(rank);
    if (Atomics.load(words, segmentWord.state) === segmentState.lost) {
      const { code, why } = lostBecause();
      throw new TransportError(code, {
        message: `${peer.role} rank ${rank} cannot be reached over tcp: ${why}. Look at that worker's log.`,
        details: { peer: `${peer.role} rank ${rank}`, why },
      });
    }
    // What ends a peer is seen by the connection, which then writes the mirror's state.
    return { buffer, isAlive: () => true, lostBecause };
  }

  waitForRing(_words: Int32Array, { seen, spinUs, timeoutUs, spinYields }: DoorbellWait): void {
    this.#engine?.wait(seen, spinUs, timeoutUs, spinYields);
  }

  wake(words: Int32Array): void {
    const rank = this.#rankOf.get(words.buffer);
    if (rank !== undefined) this.#engine?.wake(rank);
  }

  close(): void {
    this.#isClosed = true;
    this.#engine?.beginClosing();
  }

  #start(): TcpEngine {
    const { role, rank, shape, nonce, options } = this.#context;
    const { host, port, busyPollUs, trafficClass, congestionControl, preSharedKey } = this.#options;
    const native = tcpBinding();
    if (preSharedKey !== undefined) mustAuthenticate(native.authenticationIsMissing());
    const timeoutUs = options.peerTimeoutMs * 1000;
    const engine = new native.TcpEngine({
      isAttention: role === 'attention',
      rank,
      shape,
      layoutHash: this.#layoutHash,
      nonceLow: nonce[0],
      nonceHigh: nonce[1],
      isAuthenticated: preSharedKey !== undefined,
      combinesAtExperts: options.combine === 'expert',
      silenceUs: Math.ceil(timeoutUs * silencePerTimeout),
      handshakeUs: timeoutUs,
      host,
      port,
      busyPollUs,
      trafficClass,
      congestionControl,
    });
    this.#engine = engine;
    endAtExit(engine);
    return engine;
  }

  #running(): TcpEngine {
    if (this.#engine === undefined) throw new Error('create comes before open');
    return this.#engine;
  }

  #keysFor(peer: PeerAddress): Uint8Array | undefined {
    const { preSharedKey } = this.#options;
    if (preSharedKey === undefined) return undefined;
    const { role, rank, nonce } = this.#context;
    const own = { rank, nonce };
    const [attention, expert] = role === 'attention' ? [own, peer] : [peer, own];
    return pairKeys(preSharedKey, {
      attentionRank: attention.rank,
      expertRank: expert.rank,
      attentionNonce: attention.nonce,
      expertNonce: expert.nonce,
      layoutHash: this.#layoutHash,
    });
  }
}

/** Attention ranks connect, so only an expert rank's location says where. It comes from outside. */
function endpointOf(role: PeerAddress['role'], location: Location) {
  if (role === 'attention') return { host: '', port: 0 };
  const { host, port } = location;
  if (typeof host !== 'string' || isIP(host) === 0) {
    throw new Error('its address has no valid host');
  }
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65535) {
    throw new Error('its address has no valid port');
  }
  return { host, port };
}

function mustAuthenticate(missing: string | undefined): void {
  if (missing === undefined) return;
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message:
      `TransportOptions.network.preSharedKey needs OpenSSL 3 in the node program, which does not export ${missing}. ` +
      `Use a build of Node.js from nodejs.org, or a private network without a key.`,
    details: { field: 'network.preSharedKey', missing },
  });
}
