import { loadNative } from '../load-native.js';
import type { PortShape } from '../protocol/port-shape.js';
import type { PeerLoss } from './shared-memory.js';
import type { Location } from './location.js';

/** native/binding/fabric_binding.cc, function by function. */
export interface FabricBinding {
  /** Why ports of this provider ('' = the best) cannot be made, if so. */
  readonly fabricTrouble: (provider: string) => string | undefined;
  /** Absent when the addon was built without libfabric's headers. */
  readonly FabricPort?: new (options: FabricPortOptions) => FabricPort;
}

export interface FabricPortOptions {
  readonly isAttention: boolean;
  readonly rank: number;
  readonly shape: PortShape;
  /** Frames bring the weights of their routes. */
  readonly bringsWeights: boolean;
  /** Empty: the best there is. */
  readonly provider: string;
  readonly host: string;
  /** Empty: any free one. */
  readonly port: string;
  /** Negative: none. */
  readonly trafficClass: number;
  /** For tests: encloses nothing in notices, and trusts no provider to keep writes in order. */
  readonly sendsApart: boolean;
}

/** One port's memory, the copies of its peers' segments, and the thread that keeps them alike. */
export interface FabricPort {
  /** What peers need to reach it; a part of its address. */
  place(): Location & { readonly provider: string };
  /** The own segment. */
  buffer(): ArrayBuffer;
  /** Throws when `place`, which comes from outside, is none. */
  open(peer: number, place: Location, nonceLow: number, nonceHigh: number): void;
  /** The peer has opened this port, too, and said who it is. */
  isOpen(peer: number): boolean;
  /** The copy of the peer's segment. */
  mirror(peer: number): ArrayBuffer;
  loss(peer: number): PeerLoss | undefined;
  /** Sends what is new for the peer. */
  send(peer: number): void;
  waitForRing(seen: number, spinUs: number, timeoutUs: number, spinYields: boolean): void;
  close(): void;
}

/** @throws BackendError 'ERR_NATIVE_LOAD' */
export function fabricBinding(): FabricBinding {
  return loadNative() as FabricBinding;
}
