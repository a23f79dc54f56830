import { loadNative } from '../load-native.js';
import type { PortShape } from '../protocol/port-shape.js';

/** native/binding/tcp_binding.cc, function by function. Present on Linux only. */
export interface TcpBinding {
  /**
   * Expert ranks listen from here on. Throws when they cannot, or an option of the network is not
   * granted.
   */
  readonly TcpEngine: new (setup: TcpPortSetup) => TcpEngine;
  /** The function of OpenSSL that this program lacks. */
  authenticationIsMissing(): string | undefined;
}

/** PortSetup of native/tcp/port_setup.hpp. */
export interface TcpPortSetup {
  readonly isAttention: boolean;
  readonly rank: number;
  readonly shape: PortShape;
  readonly layoutHash: number;
  readonly nonceLow: number;
  readonly nonceHigh: number;
  readonly isAuthenticated: boolean;
  readonly combinesAtExperts: boolean;
  readonly silenceUs: number;
  readonly handshakeUs: number;
  readonly host: string;
  readonly port: number;
  readonly busyPollUs: number;
  readonly trafficClass: number;
  /** '' = the system's. */
  readonly congestionControl: string;
}

export interface TcpPeerSetup {
  readonly rank: number;
  readonly nonceLow: number;
  readonly nonceHigh: number;
  /** Of expert ranks. */
  readonly host: string;
  readonly port: number;
  /** [64] attention to expert, then expert to attention. */
  readonly keys: Uint8Array | undefined;
}

/** Of one port, called by its thread only. */
export interface TcpEngine {
  ownBuffer(): ArrayBuffer;
  boundPort(): number;
  /** The mirror of the peer's segment, whose state word tells when the connection is there. */
  addPeer(peer: TcpPeerSetup): ArrayBuffer;
  lossOf(rank: number): {
    readonly code: 'ERR_PEER_CLOSED' | 'ERR_FRAME_INVALID' | 'ERR_PROTOCOL_VERSION';
    readonly why: string;
  };
  stopListening(): void;
  wait(seen: number, spinUs: number, timeoutUs: number, spinYields: boolean): void;
  wake(rank: number): void;
  beginClosing(): void;
  /** After `beginClosing`: nothing is left of it in this process but memory. */
  isFinished(): boolean;
  abort(): void;
  /** Connections that were refused because they proved not to be of a rank. */
  refusedCount(): number;
}

/** @throws BackendError 'ERR_NATIVE_LOAD' */
export function tcpBinding(): TcpBinding {
  return loadNative() as TcpBinding;
}
